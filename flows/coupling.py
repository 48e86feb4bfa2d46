r"""Couplings: an elementwise transform of one part of an event, parameterised by the other part.

    x = (x_a, x_b),   y_a = x_a,   y_b = f(x_b; net(x_a, context))

f is an increasing map of one variable (`flows.univariate`), so log |det| is the sum of its log derivatives
and the inverse costs one call of the network as well.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from flows.flow import Flow, Pass, Shape
from flows.nn.conditioner import conditioner
from flows.nn.parameters import stacked, unstacked
from flows.partitions import Halves, Masked, Partition, checkerboard
from flows.univariate import Additive, Affine, Univariate


class Coupling(Flow):
    r"""A coupling of any univariate map.

    Args:
        event_shape: D or (C, H, W).
        univariate: f.
        mask: which elements pass: boolean, of the event's shape, or a partition (`flows.partitions`); by
            default the first half of the features or channels, a checkerboard for images of one channel.
        flip: without a mask, whether the second half passes instead; alternate it.
        hidden: widths of the hidden layers of the network, channels for images (`flows.nn.conditioner`).
            Its last layer starts at zero, the coupling at the identity.
        net: another network in its place: called with what passes and the context or None, returns P times
            the leading size of what changes, (\*batch, P D') or (\*batch, P C', H, W).
        context: shape of one context, if there is any.

    Shapes: x (\*batch, \*event_shape); log |det| (\*batch).

    Raises:
        ValueError: if the mask is not of the event's shape, passes nothing or changes nothing.
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        univariate: Univariate,
        *,
        mask: Partition | Tensor | None = None,
        flip: bool = False,
        hidden: Sequence[int] = (128, 128),
        net: Any = None,
        context: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(event_shape, context=context)
        self.univariate = univariate
        self.partition = _partition(self.event_shape, mask, flip=flip)
        self.net = net or conditioner(
            self.partition.kept_shape,
            stacked(self.partition.changed_shape, univariate.size),
            hidden=hidden,
            context=self.context_shape,
        )

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        return self._changed(self.univariate, x, context)

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        return self._changed(self.univariate.inverse, y, context)

    def _changed(self, f: Callable[[Tensor, Tensor], Pass], x: Tensor, context: Tensor | None) -> Pass:
        kept, changing = self.partition.split(x)
        parameters = unstacked(
            self.net(kept, context), self.univariate.size, like=changing, event_dim=len(self.event_shape)
        )
        changed, terms = f(changing, parameters)
        return self.partition.join(kept, changed), self.partition.log_det(terms)


class AffineCoupling(Coupling):
    r"""The coupling of RealNVP (Dinh, Sohl-Dickstein & Bengio 2016), arXiv:1605.08803.

    Forward:    y_a = x_a,  y_b = x_b exp(s(x_a)) + t(x_a)
    Inverse:    x_a = y_a,  x_b = (y_b - t(y_a)) exp(-s(y_a))
    log |det|:  sum_i s_i(x_a)

    Args:
        event_shape: D or (C, H, W).
        bound: of |s|, see `flows.univariate.Affine`.
        options: see `Coupling`.

    >>> import torch
    >>> flow = AffineCoupling(4, hidden=(8,))
    >>> x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    >>> flow(x).detach()  # fresh, the identity
    tensor([1., 2., 3., 4.])
    """

    def __init__(
        self, event_shape: int | Sequence[int], *, bound: float | None = 3.0, **options: Any
    ) -> None:
        super().__init__(event_shape, Affine(bound), **options)


class AdditiveCoupling(Coupling):
    """The coupling of NICE (Dinh, Krueger & Bengio 2014), arXiv:1410.8516: y_b = x_b + t(x_a), log |det| = 0.

    Args:
        event_shape: D or (C, H, W).
        options: see `Coupling`.
    """

    def __init__(self, event_shape: int | Sequence[int], **options: Any) -> None:
        super().__init__(event_shape, Additive(), **options)


def _partition(shape: Shape, mask: Partition | Tensor | None, *, flip: bool) -> Partition:
    if mask is None:
        grey = len(shape) == 3 and shape[0] == 1
        return checkerboard(shape, flip=flip) if grey else Halves(shape, flip=flip)
    partition = Masked(mask) if isinstance(mask, Tensor) else mask
    if isinstance(partition, Masked) and tuple(partition.mask.shape) != shape:
        raise ValueError(
            f"expected a mask of the events' shape {shape}; got one of shape {tuple(partition.mask.shape)}"
        )
    return partition
