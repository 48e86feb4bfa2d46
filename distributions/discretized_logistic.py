"""Discretised logistic (IAF-VAE, arXiv:1606.04934; PixelCNN++, arXiv:1701.05517), normalised."""

import math
from typing import Any

import pyro.distributions as dist
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.utils import broadcast_all

from distributions.grid import Grid, at_least_float32
from distributions.noise import inside_unit_interval

# Below this width of a bin, in units of the scale, the mass is a series (0/0 otherwise). What the
# series leaves out is width⁴ / 2880, less than float64 resolves.
SMALL_WIDTH = 1e-3
# e^80 is a scale at which a bin between the edges has no mass left; beyond it exp overflows.
MAX_LOG_SCALE_SAMPLED = 80.0


class DiscretizedLogistic(dist.TorchDistribution):
    """A logistic variable with mean μ and scale s, rounded to K levels.

    On x_k = 2k / (K - 1) - 1, k = 0..K-1, with h = 1 / (K - 1) and σ(t) = 1 / (1 + exp(-t)):

        P(x_k) = σ((x_k + h - μ) / s) - σ((x_k - h - μ) / s),

    where the first level also gets all that lies below it and the last one all that lies above, so
    that the masses sum to one for every μ and s. ``log_prob`` is in nats. Unlike the published code
    it has no approximate branch for small masses and no clamp; values and gradients are finite for
    log s in [-30, 1e4]. Samples are not reparameterised, and x gets no gradient.

    Args:
        loc: μ, on the scale of x, inside [-1, 1] or not.
        log_scale: log s; broadcasts with ``loc``.
        levels: K, at least 2; 256 for 8-bit images, 32 for 5-bit ones.
        min_log_scale: lower limit put on log s, with zero gradient below it. PixelCNN++ sets -7,
            NVAE -8; None leaves log s unbounded.

    Shapes:
        batch: ``loc`` and ``log_scale`` broadcast; event: (). Half precision becomes float32.

    Support:
        ``Grid(levels)``, to 5% of a step. Off it: a ValueError where arguments are validated; where
        they are not, x counts as the nearest level.

    Raises:
        ValueError: if ``levels`` is less than 2.

    >>> p = DiscretizedLogistic(torch.tensor(0.0), torch.tensor(-1.0), levels=3)
    >>> p.log_prob(torch.tensor([-1.0, 0.0, 1.0])).exp()
    tensor([0.2044, 0.5912, 0.2044])
    """

    arg_constraints = {"loc": constraints.real, "log_scale": constraints.real}  # noqa: RUF012
    has_enumerate_support = True

    def __init__(
        self,
        loc: Tensor | float,
        log_scale: Tensor | float,
        levels: int = 256,
        *,
        min_log_scale: float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        loc, log_scale = broadcast_all(loc, log_scale)
        self.grid = Grid(levels)
        self.loc = at_least_float32(loc)
        self.log_scale = limited_log_scale(log_scale, min_log_scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Grid:
        """The grid of levels."""
        return self.grid

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "DiscretizedLogistic":
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(DiscretizedLogistic, _instance)
        new.grid = self.grid
        new.loc = self.loc.expand(batch_shape)
        new.log_scale = self.log_scale.expand(batch_shape)
        super(DiscretizedLogistic, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log P(value) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        return log_mass(self.grid.level(value), self.loc, self.log_scale, grid=self.grid)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw a logistic variable and round it to the grid."""
        shape = self._extended_shape(sample_shape)
        return self.draw(torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def draw(self, u: Tensor) -> Tensor:
        """The value that uniform noise u, (*S, *B), gives."""
        with torch.no_grad():
            return self.grid.value(level_at(u, self.loc, self.log_scale, grid=self.grid))

    def with_temperature(self, temperature: float) -> "DiscretizedLogistic":
        """The same distribution with its scale s times ``temperature``: less than 1 sharpens.

        Raises:
            ValueError: if the temperature is not positive.
        """
        return DiscretizedLogistic(
            self.loc,
            self.log_scale + log_temperature(temperature),
            levels=self.grid.levels,
            validate_args=self._validate_args,
        )

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All K values along a new leftmost dimension."""
        values = self.grid.value(self._all_levels())
        return values.expand(-1, *self.batch_shape) if expand else values

    @property
    def mean(self) -> Tensor:
        """Σ_k P(x_k) x_k, exact; the memory of K evaluations of ``log_prob``."""
        return (self._masses() * self.enumerate_support()).sum(0)

    @property
    def variance(self) -> Tensor:
        """Σ_k P(x_k) (x_k - mean)², exact; the memory of K evaluations of ``log_prob``."""
        return (self._masses() * (self.enumerate_support() - self.mean) ** 2).sum(0)

    def _validate_sample(self, value: Tensor) -> None:
        with self.grid.explained(value):
            super()._validate_sample(value)

    def _all_levels(self) -> Tensor:
        levels = torch.arange(self.grid.levels, dtype=self.loc.dtype, device=self.loc.device)
        return levels.reshape(-1, *(1 for _ in self.batch_shape))

    def _masses(self) -> Tensor:
        return log_mass(self._all_levels(), self.loc, self.log_scale, grid=self.grid).exp()


def log_mass(level: Tensor, loc: Tensor, log_scale: Tensor, *, grid: Grid) -> Tensor:
    """The log mass in nats of a level's bin under a logistic; all arguments broadcast.

    With a and b the bin's edges in units of the scale, and because a - b = 2h/s whatever x is,

        σ(a) - σ(b) = σ(a) σ(-b) (1 - exp(b - a)),

    a product, of which the logarithm loses nothing. The first level is σ(a), the last one σ(-b).
    """
    level = level.to(loc.dtype)
    precision = (-log_scale).exp()
    a = (grid.edge_above(level) - loc) * precision
    b = (grid.edge_above(level - 1) - loc) * precision
    first, last = level == 0, level == grid.last
    below_top = F.logsigmoid(a).masked_fill(last, 0.0)
    above_bottom = F.logsigmoid(-b).masked_fill(first, 0.0)
    inside = _log_width(log_scale, precision, grid=grid).masked_fill(first | last, 0.0)
    return below_top + above_bottom + inside


def _log_width(log_scale: Tensor, precision: Tensor, *, grid: Grid) -> Tensor:
    """Log(1 - exp(-d)) for d = 2h/s; for small d its series log d - d/2 + d²/24 with log d in full.

    Each branch sees d clamped to its own side, so that the one not taken has finite gradients too.
    """
    d = 2 * grid.half_step * precision
    near, far = d.clamp(max=SMALL_WIDTH), d.clamp(min=SMALL_WIDTH)
    series = math.log(2 * grid.half_step) - log_scale - near / 2 + near**2 / 24
    return torch.where(d < SMALL_WIDTH, series, (-torch.expm1(-far)).log())


def level_at(u: Tensor, loc: Tensor, log_scale: Tensor, *, grid: Grid) -> Tensor:
    """μ + s logit(u) as the level of the bin that it falls in, for u in [0, 1)."""
    scale = log_scale.clamp(max=MAX_LOG_SCALE_SAMPLED).exp()
    return grid.level(loc + scale * inside_unit_interval(u).logit())


def limited_log_scale(log_scale: Tensor, minimum: float | None) -> Tensor:
    """Log s as used: in float32 at least and, if there is a minimum, not below it."""
    log_scale = at_least_float32(log_scale)
    return log_scale if minimum is None else log_scale.clamp(min=minimum)


def log_temperature(temperature: float) -> float:
    """Log t of a temperature t.

    Raises:
        ValueError: if t is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"expected a temperature above 0; got {temperature}")
    return math.log(temperature)
