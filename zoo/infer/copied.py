"""Copies of what a guide drew before the model ran, one for every label; what is computed once for all."""

from collections.abc import Callable
from typing import Any

from einops import repeat
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor

from distributions.fused import fused_log_prob
from zoo.infer.handlers import Answer, drawn_log_prob
from zoo.infer.programs import map_tensors


def copies(tree: Any, k: int) -> Any:
    """K copies of every tensor of the tree, (B, ...) -> (k B, ...)."""
    if k == 1:
        return tree
    return map_tensors(lambda t: repeat(t, "b ... -> (k b) ...", k=k), tree)


class Copied:
    """The distribution that a value was drawn from before the value was copied c times.

    Args:
        msg: Pyro's message of the draw, its value (N, ...).
        c: number of copies.
    """

    def __init__(self, msg: Any, c: int) -> None:
        self.msg, self.c = msg, c
        self.has_rsample = msg["fn"].has_rsample

    @property
    def drawn(self) -> Tensor:
        """The value before it was copied, (N, ...)."""
        value: Tensor = self.msg["value"]
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """Log q of the draw, which is that of each of its copies, (c N, ...)."""
        log_q = drawn_log_prob(self.msg)
        own = self.msg["fn"].log_prob(self.drawn) if log_q is None else log_q()
        return copies(own, self.c)


class CopiedLikelihood:
    """p(x | a) of c copies of draws a and of the images x: scored once, and the log density copied.

    Args:
        likelihood: of the draws themselves, batch shape (N,).
        c: number of copies.
    """

    has_enumerate_support = False

    def __init__(self, likelihood: Any, c: int) -> None:
        self.likelihood, self.c = likelihood, c
        self.event_shape, self.event_dim = likelihood.event_shape, likelihood.event_dim

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Nothing: only images that are observed have copies.

        Raises:
            ValueError: always.
        """
        raise ValueError("expected observed images, where draws of the guide are copied for every label")

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x | a) of values (c N, ...) which are c copies, (c N,), in nats."""
        n = len(value) // self.c
        return copies(fused_log_prob(self.likelihood, value[:n]), self.c)


def once_a_draw(likelihood: Callable[[Tensor], Any], a: Tensor) -> Any:
    """likelihood(a) in a model whose images depend on nothing but a, which the guide draws before it runs.

    `zoo.SemiSupervised` runs the model over copies of a, one for every label. The likelihood is then computed
    once a draw, not once a copy. Everywhere else this is ``likelihood(a)``.

    Args:
        likelihood: called with a, returns p(x | a).
        a: (N, ...), as sampled in the model.
    """
    for handler in _PYRO_STACK:
        if isinstance(handler, Answer) and (copied := _copied(handler, a)) is not None:
            return CopiedLikelihood(likelihood(copied.drawn), copied.c)
    return likelihood(a)


def _copied(handler: Answer, a: Tensor) -> Copied | None:
    """Of what the guide drew, that of which `a` is copies, if it is."""
    found = [msg["fn"] for msg in handler.drawn.values() if msg["value"] is a]
    return found[0] if found and isinstance(found[0], Copied) else None
