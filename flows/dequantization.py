r"""Densities of images with finitely many levels, through a continuous y: dequantisation is inference.

    y ~ p(y),   x = the level in whose bin y lies,   P(x) = integral of p(y) over the bin of x

A level k = 0 .. L-1 is the pixel x = k / (L - 1) (`zoo.data.encodings.Unit`), and its bin is
[k / L, (k + 1) / L). A distribution q(y | x) on the bin bounds log P(x) from below by
E_q[log p(y) - log q(y | x)]: uniform noise (Theis, van den Oord & Bethge 2015, arXiv:1511.01844) or learned
noise (Flow++, Ho et al. 2019, arXiv:1902.00275). A uniform p(y) costs log2(L) bits a dimension.
"""

import math
from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from distributions import Grid, TransformedDistribution
from flows.flow import ConditionedInverse
from flows.one_pass import OnePassTransform

EVENT_DIM = 3  # (C, H, W)


class Bins(constraints.Constraint):
    """The pixels x = k / (L - 1), and the bins of y in [0, 1] that they stand for.

    The first bin reaches down to -∞ and the last one up to ∞. Levels k are floats that hold whole numbers.

    The pixels are those of a `distributions.Grid` of other units; its bins differ: they are intervals
    around each pixel, where these are L equal parts of [0, 1].

    Args:
        levels: L, at least 2.

    Raises:
        ValueError: if there are fewer.

    >>> bins = Bins(4)
    >>> bins.value(bins.containing(torch.tensor([-0.1, 0.3, 0.5, 0.99])))
    tensor([0.0000, 0.3333, 0.6667, 1.0000])
    """

    is_discrete = True
    event_dim = 0

    def __init__(self, levels: int) -> None:
        self.levels, self.grid = levels, Grid(levels)

    def __repr__(self) -> str:
        return f"Bins(levels={self.levels})"

    def check(self, value: Tensor) -> Tensor:
        """Whether each x is k / (L - 1) for a k, up to 5 % of a step."""
        return self.grid.check(2 * value - 1)

    def level(self, x: Tensor) -> Tensor:
        """The level k whose value is nearest to x."""
        return self.grid.level(2 * x - 1)

    def value(self, level: Tensor) -> Tensor:
        """X = k / (L - 1), the very floats of `zoo.data.encodings.Unit`."""
        return level / (self.levels - 1)

    def lower_edge(self, level: Tensor) -> Tensor:
        """K / L, which is also the edge above level k - 1: bins neither overlap nor leave a gap."""
        return level / self.levels

    def containing(self, y: Tensor) -> Tensor:
        """The k in whose bin y lies: floor(L y), one off where the product was rounded across an edge."""
        k = torch.floor(y * self.levels)
        k = k + (y >= self.lower_edge(k + 1)).to(y.dtype) - (y < self.lower_edge(k)).to(y.dtype)
        return k.clamp(0, self.levels - 1)


class Quantized(dist.TorchDistribution):
    r"""P(x | y) = 1 for the x in whose bin y lies, else 0.

    Args:
        y: (\*batch, C, H, W), any real numbers; beyond [0, 1] they belong to the first or the last level.
        levels: L.

    Shapes: batch shape \*batch, event shape (C, H, W). Support: x = k / (L - 1).

    >>> p = Quantized(torch.tensor([0.1, 0.6]).view(1, 1, 2), levels=2)
    >>> p.sample().flatten(), p.log_prob(torch.ones(1, 1, 2))
    (tensor([0., 1.]), tensor(-inf))
    """

    arg_constraints = {"y": constraints.independent(constraints.real, EVENT_DIM)}  # noqa: RUF012

    def __init__(self, y: Tensor, levels: int, *, validate_args: bool | None = None) -> None:
        self.y, self.bins = y, Bins(levels)
        cut = y.dim() - EVENT_DIM
        super().__init__(y.shape[:cut], y.shape[cut:], validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The pixels x = k / (L - 1)."""
        return constraints.independent(self.bins, EVENT_DIM)

    @property
    def mean(self) -> Tensor:
        """The x in whose bin y lies."""
        return self.bins.value(self.bins.containing(self.y))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The x in whose bin y lies."""
        return self.mean.expand(self._extended_shape(torch.Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        r"""0 or -∞, (\*batch)."""
        if self._validate_args:
            self._validate_sample(value)
        wrong = self.bins.containing(self.y) != self.bins.level(value)
        wrong = wrong.flatten(-EVENT_DIM).any(-1)
        return self.y.new_zeros(wrong.shape).masked_fill(wrong, -math.inf)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Quantized":
        """The same distribution on a larger batch."""
        y = self.y.expand(*batch_shape, *self.event_shape)
        return Quantized(y, self.bins.levels, validate_args=self._validate_args)


class BinTransform(OnePassTransform):
    r"""y = (k + u) / L for noise u in [0, 1), k the level of x; log |det dy/du| = -D log L.

    Rounding never carries y into the next bin.

    Args:
        x: (\*batch, C, H, W), on the grid k / (L - 1).
        levels: L.
    """

    def __init__(self, x: Tensor, levels: int) -> None:
        super().__init__()
        bins = Bins(levels)
        self.levels, self.level = levels, bins.level(x)
        self.lower, self.upper = bins.lower_edge(self.level), bins.lower_edge(self.level + 1)
        self.domain = constraints.independent(constraints.unit_interval, EVENT_DIM)
        interval = constraints.half_open_interval(self.lower, self.upper)
        self.codomain = constraints.independent(interval, EVENT_DIM)

    @property
    def inv(self) -> ConditionedInverse:
        """The inverse, from y to the noise u."""
        return ConditionedInverse(self)

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Y of the noise u and log |det dy/du|."""
        y = (self.level + x) / self.levels
        return torch.minimum(y, torch.nextafter(self.upper, self.lower)), self._log_det(y)

    def inverse_and_log_det(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The noise u, at least a rounding error off 0 and 1, and log |det du/dy|."""
        u = y * self.levels - self.level
        eps = torch.finfo(u.dtype).eps
        return u.clamp(eps, 1 - eps), -self._log_det(u)

    def forward_shape(self, shape: Sequence[int]) -> torch.Size:
        """The noise's batch and that of x, broadcast."""
        return torch.broadcast_shapes(shape, self.level.shape)

    inverse_shape = forward_shape

    def _log_det(self, y: Tensor) -> Tensor:
        dimensions = math.prod(y.shape[-EVENT_DIM:])
        return y.new_full(y.shape[:-EVENT_DIM], -dimensions * math.log(self.levels))


class VariationalDequantization(TransformedDistribution):
    r"""q(y | x) of y = (k + u) / L with any noise u (Flow++, arXiv:1902.00275, eq. 10).

        log q(y | x) = log q(u | x) + D log L

    Args:
        x: images (\*batch, C, H, W), x = k / (L - 1).
        levels: L.
        noise: distribution over u in (0, 1)^D, event shape (C, H, W), batch shape () or \*batch: flows that
            end in ``flows.Logit(event_shape, alpha=0.0)``, for example.

    Shapes: batch shape \*batch, event shape (C, H, W). Support: the bin of x; -∞ outside.
    """

    def __init__(self, x: Tensor, levels: int, noise: Any, *, validate_args: bool | None = None) -> None:
        super().__init__(noise, [BinTransform(x, levels)], validate_args=validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        r"""Log q(y | x), (\*batch), in nats."""
        outside = ~self.transforms[0].codomain.check(value)
        return super().log_prob(value).masked_fill(outside, -math.inf)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(VariationalDequantization, _instance or self.__new__(type(self)))
        return super().expand(torch.Size(batch_shape), _instance=new)


class UniformDequantization(VariationalDequantization):
    r"""q(y | x) uniform on the bin of x (arXiv:1511.01844): log q(y | x) = D log L.

    Args:
        x: images (\*batch, C, H, W), x = k / (L - 1).
        levels: L.

    >>> x = torch.tensor([0.0, 1.0]).view(1, 1, 2)
    >>> q = UniformDequantization(x, levels=2)
    >>> Quantized(q.sample(), levels=2).sample().flatten(), q.log_prob(x * 0.75)  # 2 log 2
    (tensor([0., 1.]), tensor(1.3863))
    """

    def __init__(self, x: Tensor, levels: int, *, validate_args: bool | None = None) -> None:
        super().__init__(x, levels, uniform_noise(x), validate_args=validate_args)


def uniform_noise(x: Tensor) -> Any:
    """Noise u uniform on [0, 1), of the images' shape and float type."""
    zeros = torch.zeros_like(x)
    return dist.Uniform(zeros, zeros + 1).to_event(EVENT_DIM)
