"""A mixture of normals with diagonal covariances: the prior of a VAE, with up to hundreds of components."""

import math
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from distributions.discretized_logistic_mixture import category


class NormalMixture(dist.TorchDistribution):
    r"""p(z) = sum_c pi_c prod_d N(z_d; mu_cd, sigma_cd^2),   pi = softmax(logits).

    All log N(z; c) come from one matrix product,

        [z^2, z] [-1 / (2 sigma^2), mu / sigma^2]^T - sum_d (mu^2 / (2 sigma^2) + log sigma + log(2 pi) / 2)

    whose terms cancel where sigma is small: it is computed in float64, and still takes a fraction of the time
    and the memory of the (N, C, D) differences z - mu.

    Args:
        logits: (\*B, C).
        loc: (\*B, C, \*E).
        scale: (\*B, C, \*E), positive.

    Shapes:
        batch: \*B; event: \*E, a vector or a map.

    Raises:
        ValueError: if shapes do not fit together; names the expected and the given one.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "logits": constraints.real,
        "loc": constraints.real,
        "scale": constraints.positive,
    }

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, *, validate_args: bool | None = None
    ) -> None:
        _check_shapes(logits, loc, scale)
        self.logits, self.loc, self.scale = logits, loc, scale
        shape = loc.shape[logits.dim() :]
        super().__init__(logits.shape[:-1], shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """All real values."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "NormalMixture":
        """The same at a larger batch shape; the parameters are kept as they are and broadcast."""
        new = self._get_checked_instance(NormalMixture, _instance)
        new.logits, new.loc, new.scale = self.logits, self.loc, self.scale
        torch.broadcast_shapes(self.batch_shape, batch_shape)
        super(NormalMixture, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(z), in nats."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._flat(value).double()
        energies = self._of_components(torch.cat([z.square(), z], -1))
        weighted = energies + self.logits.double().log_softmax(-1)
        log_p = weighted.logsumexp(-1).to(self.loc.dtype)
        return log_p.expand(torch.broadcast_shapes(log_p.shape, self.batch_shape))

    def _of_components(self, squares_and_values: Tensor) -> Tensor:
        """Log N(z; c) of every component, (..., C)."""
        loc, precision = self._flat(self.loc).double(), self._flat(self.scale).double() ** -2
        weight = torch.cat([-0.5 * precision, loc * precision], -1)  # (*B, C, 2D)
        constant = -0.5 * (loc.square() * precision - precision.log()).sum(-1)
        constant = constant - 0.5 * math.log(2 * math.pi) * loc.shape[-1]
        if weight.dim() == 2:
            return squares_and_values @ weight.T + constant
        return (squares_and_values.unsqueeze(-2) @ weight.mT).squeeze(-2) + constant

    @property
    def has_rsample(self) -> bool:
        """Whether ``rsample`` has the whole gradient: where the weights are not learned."""
        return not self.logits.requires_grad

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A component at random, then a draw from it."""
        return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The same, differentiable in the component's loc and scale."""
        shape = self._extended_shape(torch.Size(sample_shape))
        batch = shape[: len(shape) - len(self.event_shape)]
        uniform = torch.rand(batch, dtype=self.loc.dtype, device=self.loc.device)
        chosen = category(self.logits.softmax(-1), uniform)
        loc, scale = (_chosen(self._flat(t).expand(*batch, -1, -1), chosen) for t in (self.loc, self.scale))
        return (loc + scale * torch.randn_like(loc)).view(shape)

    @property
    def mean(self) -> Tensor:
        """sum_c pi_c mu_c."""
        return self._average(self.loc)

    @property
    def variance(self) -> Tensor:
        """sum_c pi_c (sigma_c^2 + mu_c^2) - mean^2."""
        return self._average(self.scale.square() + self.loc.square()) - self.mean.square()

    def _average(self, t: Tensor) -> Tensor:
        average = (self.logits.softmax(-1).unsqueeze(-1) * self._flat(t)).sum(-2)
        return average.expand(*self.batch_shape, -1).reshape(self.batch_shape + self.event_shape)

    def _flat(self, t: Tensor) -> Tensor:
        return t.flatten(-len(self.event_shape)) if self.event_shape else t.unsqueeze(-1)


def _chosen(t: Tensor, component: Tensor) -> Tensor:
    """The rows of t (..., C, D) with these indices (...): (..., D)."""
    index = component[..., None, None].expand(*component.shape, 1, t.shape[-1])
    return t.gather(-2, index).squeeze(-2)


def _check_shapes(logits: Tensor, loc: Tensor, scale: Tensor) -> None:
    components = logits.shape
    if not components or loc.shape[: len(components)] != components:
        raise ValueError(
            f"expected logits (*B, C) and loc (*B, C, *E); got {tuple(components)} and {tuple(loc.shape)}"
        )
    if scale.shape != loc.shape:
        raise ValueError(f"expected a scale of loc's shape, {tuple(loc.shape)}; got {tuple(scale.shape)}")
