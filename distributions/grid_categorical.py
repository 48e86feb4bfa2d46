"""A free distribution over the levels of a grid: PixelCNN's softmax (arXiv:1601.06759, section 3.4)."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import log_softmax

from distributions.discretized_logistic_mixture import category
from distributions.grid import Grid, at_least_float32


class GridCategorical(dist.TorchDistribution):
    """P(x_k) = softmax(logits)_k on the K values x_k = 2k / (K - 1) - 1.

    Args:
        logits: (*B, K), K at least 2.

    Shapes:
        batch: *B; event: (). Half precision becomes float32.

    Support:
        ``Grid(K)``, to 5% of a step. Off it: a ValueError where arguments are validated; where they are
        not, x counts as the nearest level.

    >>> p = GridCategorical(torch.tensor([0.0, 0.0, 0.0]))
    >>> p.log_prob(torch.tensor([-1.0, 0.0, 1.0])).exp()
    tensor([0.3333, 0.3333, 0.3333])
    """

    arg_constraints = {"logits": constraints.independent(constraints.real, 1)}  # noqa: RUF012
    has_enumerate_support = True

    def __init__(self, logits: Tensor, *, validate_args: bool | None = None) -> None:
        self.grid = Grid(logits.shape[-1])
        self.logits = log_softmax(at_least_float32(logits), -1)
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Grid:
        """The grid of levels."""
        return self.grid

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "GridCategorical":
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(GridCategorical, _instance)
        batch = torch.Size(batch_shape)
        new.grid = self.grid
        new.logits = self.logits.expand(batch + self.logits.shape[-1:])
        super(GridCategorical, new).__init__(batch, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log P(value) in nats."""
        if self._validate_args:
            self._validate_sample(value)
        level = self.grid.level(value).long().unsqueeze(-1)
        shape = torch.broadcast_shapes(level.shape[:-1], self.logits.shape[:-1])
        return self.logits.expand(*shape, -1).gather(-1, level.expand(*shape, 1)).squeeze(-1)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draw a level."""
        shape = self._extended_shape(sample_shape)
        return self.draw(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))

    def draw(self, u: Tensor) -> Tensor:
        """The value that uniform noise u, (*S, *B), gives."""
        with torch.no_grad():
            return self.grid.value(category(self.logits.exp(), u).to(u.dtype))

    def with_temperature(self, temperature: float) -> "GridCategorical":
        """The same distribution with its logits divided by ``temperature``: less than 1 sharpens.

        Raises:
            ValueError: if the temperature is not positive.
        """
        if not temperature > 0:
            raise ValueError(f"expected a temperature above 0; got {temperature}")
        return GridCategorical(self.logits / temperature, validate_args=self._validate_args)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All K values along a new leftmost dimension."""
        values = self._values().reshape(-1, *(1 for _ in self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    @property
    def mean(self) -> Tensor:
        """Sum of P(x_k) x_k."""
        return (self.logits.exp() * self._values()).sum(-1)

    @property
    def variance(self) -> Tensor:
        """Sum of P(x_k) (x_k - mean)²."""
        return (self.logits.exp() * (self._values() - self.mean.unsqueeze(-1)) ** 2).sum(-1)

    def _validate_sample(self, value: Tensor) -> None:
        with self.grid.explained(value):
            super()._validate_sample(value)

    def _values(self) -> Tensor:
        levels = torch.arange(self.grid.levels, dtype=self.logits.dtype, device=self.logits.device)
        return self.grid.value(levels)
