r"""Autoregressive flows: an elementwise transform parameterised by the preceding elements.

    y_i = f(x_i; net(x_<i, context)_i),   log |det dy/dx| = sum_i log f'(x_i)

f is an increasing map of one variable (`flows.univariate`), so the Jacobian is triangular.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flows.flow import Flow, Inverse, Pass, Shape
from flows.inversion.implicit import attached
from flows.inversion.jacobi import jacobi
from flows.nn.made import MADE
from flows.nn.masked_conv import MaskedConvNet
from flows.nn.parameters import stacked, unstacked
from flows.not_compiled import not_compiled
from flows.univariate import Affine, Univariate


class Autoregressive(Flow):
    r"""Fast to call, slow to invert: an autoregressive flow of any univariate map, one network pass a call.

    The inverse solves for the elements in turn. A `MADE` does so at the cost of about two passes
    (`flows.inversion.incremental`), another network in at most D + 1 passes for D elements, most often far
    fewer (`flows.inversion.jacobi`). Where gradients are needed, one more pass makes them exact
    (`flows.inversion.implicit`). ``torch.compile`` takes the call but not the inverse, which runs as it is:
    a graph break, an error under ``fullgraph=True``.

    Args:
        event_shape: D, or (C, H, W). The order is that of the elements; in an image that of rows, of pixels
            in a row, of channels in a pixel.
        univariate: f.
        hidden: widths of the hidden layers of the network, `flows.nn.made.MADE`, by default 128 and 128; for
            images channels, of `flows.nn.masked_conv.MaskedConvNet`, by default 32 and 32. Its last layer
            starts at zero, the flow at the identity.
        reverse: whether the order is the opposite one; alternate it.
        net: another network in its place, in any order of its own: called with x and the context or None, it
            returns (\*batch, P D) or (\*batch, P C, H, W) where the P parameters of an element depend on the
            preceding elements only.
        context: shape of one context, if there is any.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).

    Raises:
        ValueError: if events are neither vectors nor images and there is no `net`.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        univariate: Univariate,
        *,
        hidden: Sequence[int] | None = None,
        reverse: bool = False,
        net: Any = None,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(event_shape, context=context)
        self.univariate = univariate
        self.net = net or _network(
            self.event_shape, univariate.size, hidden=hidden, reverse=reverse, context=self.context_shape
        )

    def call_and_log_slopes(self, x: Tensor, context: Tensor | None = None) -> Pass:
        r"""Y and log dy_i/dx_i of every element, (\*batch, \*event_shape): the terms of log |det dy/dx|."""
        return self.univariate(x, self._from_net(x, context))

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        y, terms = self.call_and_log_slopes(x, context)
        return y, self._total(terms)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        y = self._broadcast(y, context)
        x, log_det = self._solved(y, context)
        if torch.is_grad_enabled() and any(t.requires_grad for t in self._depends_on(y, context)):
            return attached(lambda x: self._step(x, y, context), x, event_dim=len(self.event_shape))
        return x, log_det

    @not_compiled("the slow direction of an autoregressive flow is a search")
    @torch.no_grad()
    def _solved(self, y: Tensor, context: Tensor | None) -> Pass:
        """X and log |det dx/dy|, with no graph."""
        solve: Any = getattr(self.net, "solve", None)
        if solve is not None:
            x, terms = solve(self.univariate, y, context)
            return x, self._total(terms)
        contexts = None if context is None else context.expand(*self._batch(y), *(self.context_shape or ()))
        x = jacobi(lambda *given: self._step(*given)[0], y, contexts, event_dim=len(self.event_shape))
        return self._step(x, y, context)

    def _step(self, x: Tensor, y: Tensor, context: Tensor | None) -> Pass:
        """The right-hand side of x_i = f^-1(y_i; net(x_<i)_i), and log |det dx/dy|."""
        x, terms = self.univariate.inverse(y, self._from_net(x, context))
        return x, self._total(terms)

    def _from_net(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Of every element, (P, *batch, *event_shape)."""
        output = self.net(x, context)
        expected = stacked(self.event_shape, self.univariate.size)
        if output.shape[-len(expected) :] != expected:
            raise ValueError(
                f"{self._name} needs a net that returns outputs of shape {expected}, {self.univariate.size} "
                f"parameters an element; got a tensor of shape {tuple(output.shape)}"
            )
        return unstacked(output, self.univariate.size, like=x, event_dim=len(self.event_shape))

    def _total(self, terms: Tensor) -> Tensor:
        return terms.sum(tuple(range(-len(self.event_shape), 0)))

    def _batch(self, y: Tensor) -> torch.Size:
        return y.shape[: y.dim() - len(self.event_shape)]

    def _broadcast(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Y with the context's batch dimensions as well."""
        if context is None:
            return y
        contexts = context.shape[: context.dim() - len(self.context_shape or ())]
        return y.expand(*torch.broadcast_shapes(self._batch(y), contexts), *self.event_shape)

    def _depends_on(self, y: Tensor, context: Tensor | None) -> list[Tensor]:
        return [y, *([] if context is None else [context]), *self.parameters()]


class IAF(Autoregressive):
    r"""Fast to sample from, slow to score: inverse autoregressive flow, arXiv:1606.04934.

    (Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling 2016.)

    Forward:    y_i = x_i exp(s_i) + t_i,   (s_i, t_i) = net(x_<i, context)_i
    Inverse:    x_i = (y_i - t_i) exp(-s_i),   i after i
    log |det|:  sum_i s_i

    Suited to posteriors, of which only their own samples are scored: a sample comes with its density in one
    pass (`distributions.rsample_and_log_prob`).

    Args:
        event_shape: D or (C, H, W).
        bound: of |s|, see `flows.univariate.Affine`.
        options: see `Autoregressive`.

    >>> flow = IAF(3, hidden=(8,))
    >>> flow(torch.tensor([1.0, 2.0, 3.0])).detach()  # fresh, the identity
    tensor([1., 2., 3.])
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, bound: float | None = 3.0, **options: Any
    ) -> None:
        super().__init__(event_shape, Affine(bound), **options)


class MAF(Inverse):
    r"""Fast to score, slow to sample from: masked autoregressive flow, arXiv:1705.07057.

    (Papamakarios, Pavlakou & Murray 2017.) The inverse of an `IAF`, whose parameters it holds: the density of
    data takes one pass.

        x_i = y_i exp(s_i) + t_i,   (s_i, t_i) = net(y_<i, context)_i

    (The paper's alpha and mu are -s and -t exp(-s) here.)

    Args:
        event_shape: D or (C, H, W).
        options: see `IAF`.
    """

    def __init__(self, event_shape: int | Sequence[int], **options: Any) -> None:
        super().__init__(IAF(event_shape, **options))


def _network(
    shape: Shape, size: int, *, hidden: Sequence[int] | None, reverse: bool, context: Shape | None
) -> nn.Module:
    if len(shape) == 1:
        order = range(shape[0])[::-1] if reverse else None
        return MADE(
            shape[0], size, hidden=(128, 128) if hidden is None else hidden, order=order, context=context
        )
    if len(shape) == 3:
        return MaskedConvNet(
            shape, size, hidden=(32, 32) if hidden is None else hidden, reverse=reverse, context=context
        )
    raise ValueError(f"expected events of shape D or (C, H, W), or a net for them; got {shape} and no net")
