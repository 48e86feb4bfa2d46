"""The composition of several flows."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from flows.flow import Flow, Pass


class Composed(Flow):
    r"""y = f_n(... f_1(x)), log |det| the sum of theirs.

    Args:
        flows: at least one, the first of them applied first; those that are conditional all get the context.

    Raises:
        ValueError: if there is none, if a flow returns another shape than the next one takes, or if two are
            conditional on contexts of different shapes.
    """

    def __init__(self, flows: Sequence[Flow]) -> None:
        if not flows:
            raise ValueError("expected at least one flow; got none")
        for first, second in itertools.pairwise(flows):
            _require_fit(first, second)
        first, last = flows[0], flows[-1]
        super().__init__(last.event_shape, in_shape=first.in_shape, context=_common_context(flows))
        self.domain, self.codomain = first.domain, last.codomain
        self.flows = nn.ModuleList(flows)

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return _chain(((f._forward, f.context_shape) for f in self._flows()), x, context)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return _chain(((f._backward, f.context_shape) for f in reversed(self._flows())), y, context)

    def _flows(self) -> list[Any]:
        return list(self.flows)


def _chain(passes: Iterable[tuple[Any, Any]], x: Tensor, context: Tensor | None) -> Pass:
    log_dets = []
    for run, takes_context in passes:
        x, log_det = run(x, context if takes_context else None)
        log_dets.append(log_det)
    return x, sum(log_dets[1:], log_dets[0])


def _require_fit(first: Flow, second: Flow) -> None:
    if first.event_shape != second.in_shape:
        raise ValueError(
            f"{type(second).__name__} takes events of shape {second.in_shape}; {type(first).__name__}, "
            f"before it, returns {first.event_shape}"
        )


def _common_context(flows: Sequence[Flow]) -> Any:
    contexts = {flow.context_shape for flow in flows if flow.context_shape is not None}
    if len(contexts) > 1:
        raise ValueError(f"expected flows with contexts of one shape; got {sorted(contexts)}")
    return next(iter(contexts), None)
