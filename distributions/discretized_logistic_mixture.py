"""Discretised logistic mixture for images (PixelCNN++, arXiv:1701.05517, sections 2.1 and 2.2)."""

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import log_softmax

from distributions.discretized_logistic import (
    DiscretizedLogistic,
    level_at,
    limited_log_scale,
    log_mass,
    log_temperature,
)
from distributions.grid import Grid, at_least_float32


class DiscretizedLogisticMixture(dist.TorchDistribution):
    """A mixture of K discretised logistics for every pixel of a (C, H, W) image.

        P(x) = Π_pixels Σ_k π_k Π_c P_logistic(x_c; μ_kc + Σ_{c' < c} ρ_kcc' x_c', s_kc)

    The channels of a pixel share the component k, and a channel's mean depends linearly on the
    values, rounded to the grid, of those before it. The masses are those of ``DiscretizedLogistic``
    and sum to one. ``log_prob`` is in nats an image; divided by -C·H·W·ln 2, bits per dimension.

    Args:
        logits: log π up to a constant, of shape (*B, K, H, W).
        loc: μ, of shape (*B, K, C, H, W), for images in [-1, 1].
        log_scale: log s, of shape (*B, K, C, H, W).
        coefficients: ρ as used (PixelCNN++ puts a network's output through tanh first), of shape
            (*B, K, C(C-1)/2, H, W), the lower triangle row by row; for RGB: G on R, B on R, B on G.
            None: channels are independent given the component.
        levels: number of values of a sub-pixel; 256 for 8-bit images, 32 for 5-bit ones.
        min_log_scale: lower limit put on log s, with zero gradient below it. PixelCNN++ sets -7,
            NVAE -8; None leaves log s unbounded.

    Shapes:
        batch: *B; event: (C, H, W) for any C >= 1. Half precision becomes float32.

    Support:
        ``Grid(levels)`` at each sub-pixel, to 5% of a step. Off it: a ValueError where arguments
        are validated; where they are not, x counts as the nearest level.

    Raises:
        ValueError: if shapes do not fit together; names the expected and the given one.

    >>> logits = torch.zeros(2, 5, 8, 8)
    >>> loc, log_scale, coefficients = torch.zeros(3, 2, 5, 3, 8, 8)
    >>> p = DiscretizedLogisticMixture(logits, loc, log_scale, coefficients)
    >>> p.batch_shape, p.event_shape
    (torch.Size([2]), torch.Size([3, 8, 8]))
    >>> p.log_prob(p.sample()).shape
    torch.Size([2])
    """

    has_rsample = False

    def __init__(
        self,
        logits: Tensor,
        loc: Tensor,
        log_scale: Tensor,
        coefficients: Tensor | None = None,
        *,
        levels: int = 256,
        min_log_scale: float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        _check_shapes(logits, loc, log_scale, coefficients)
        self.grid = Grid(levels)
        self.logits, self.loc = at_least_float32(logits), at_least_float32(loc)
        self.log_scale = limited_log_scale(log_scale, min_log_scale)
        self.coefficients = None if coefficients is None else at_least_float32(coefficients)
        super().__init__(loc.shape[:-4], loc.shape[-3:], validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """Constraints of the parameters: none may be NaN."""
        names = ["logits", "loc", "log_scale"]
        if self.coefficients is not None:
            names.append("coefficients")
        return dict.fromkeys(names, constraints.real)

    @constraints.dependent_property(is_discrete=True, event_dim=3)
    def support(self) -> constraints.Constraint:
        """The grid of levels at every sub-pixel."""
        return constraints.independent(self.grid, 3)

    def expand(self, batch_shape: torch.Size, _instance: Any = None) -> "DiscretizedLogisticMixture":
        """The same distribution on a larger batch."""
        new = self._get_checked_instance(DiscretizedLogisticMixture, _instance)
        batch = torch.Size(batch_shape)
        new.grid = self.grid
        new.logits = self.logits.expand(batch + self.logits.shape[-3:])
        new.loc = self.loc.expand(batch + self.loc.shape[-4:])
        new.log_scale = self.log_scale.expand(batch + self.log_scale.shape[-4:])
        new.coefficients = self.coefficients
        if self.coefficients is not None:
            new.coefficients = self.coefficients.expand(batch + self.coefficients.shape[-4:])
        super(DiscretizedLogisticMixture, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log P(image) in nats, summed over channels and pixels."""
        if self._validate_args:
            self._validate_sample(value)
        level = self.grid.level(value).to(self.loc.dtype).unsqueeze(-4)  # (*, 1, C, H, W)
        loc = self._coupled_loc(self.grid.value(level))
        of_pixel = log_mass(level, loc, self.log_scale, grid=self.grid).sum(-3)  # (*, K, H, W)
        return (log_softmax(self.logits, -3) + of_pixel).logsumexp(-3).sum((-2, -1))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws each pixel's component, then channel by channel given the rounded earlier ones."""
        channels, height, width = self.event_shape
        shape = torch.Size(sample_shape) + self.batch_shape + (1 + channels, height, width)
        return self.draw(torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def draw(self, u: Tensor) -> Tensor:
        """The image that uniform noise gives, (*S, *B, 1 + C, H, W) -> (*S, *B, C, H, W).

        The first noise of a pixel picks its component, the others are its channels'.
        """
        with torch.no_grad():
            pick, *each = u.unbind(-3)
            component = category(self.logits.softmax(-3).movedim(-3, -1), pick)
            loc, log_scale = _pick(self.loc, component), _pick(self.log_scale, component)
            rho = None if self.coefficients is None else _pick(self.coefficients, component)
            channels: list[Tensor] = []
            for noise, log_s in zip(each, log_scale.unbind(-3), strict=True):
                level = level_at(noise, conditional_loc(loc, rho, channels), log_s, grid=self.grid)
                channels.append(self.grid.value(level))
            return torch.stack(channels, -3)

    def with_temperature(self, temperature: float) -> "DiscretizedLogisticMixture":
        """The same distribution with scales s times, and logits divided by, ``temperature``.

        Less than 1 sharpens every logistic and favours the likelier components.

        Raises:
            ValueError: if the temperature is not positive.
        """
        log_t = log_temperature(temperature)  # first, as it checks the temperature
        return DiscretizedLogisticMixture(
            self.logits / temperature,
            self.loc,
            self.log_scale + log_t,
            self.coefficients,
            levels=self.grid.levels,
            validate_args=self._validate_args,
        )

    @property
    def mean(self) -> Tensor:
        """Expected image, exact, of shape (*B, C, H, W); the memory of ``levels`` evaluations.

        Raises:
            NotImplementedError: if channels are coupled: the mean of the last channel then takes
                levels^C terms. Average samples, or use ``component_mean()`` for a picture.
        """
        if self.coefficients is not None and self.coefficients.shape[-3] > 0:
            raise NotImplementedError(
                "the exact mean of coupled channels takes levels^C terms a pixel; "
                "average samples, or use component_mean(), which is near it, for a picture"
            )
        logistic = DiscretizedLogistic(self.loc, self.log_scale, levels=self.grid.levels, validate_args=False)
        return self._average(logistic.mean)

    def component_mean(self) -> Tensor:
        """A noiseless picture, (*B, C, H, W): the components' locations averaged with weights π.

        A plug-in, NOT the mean: each component's later channels see the locations of its earlier
        ones instead of their values, and locations are clamped to [-1, 1]. It is off the grid.
        """
        channels: list[Tensor] = []
        for _ in range(self.event_shape[0]):
            loc = conditional_loc(self.loc, self.coefficients, channels)
            channels.append(loc.clamp(-1, 1))
        return self._average(torch.stack(channels, -3))

    def _validate_sample(self, value: Tensor) -> None:
        with self.grid.explained(value):
            super()._validate_sample(value)

    def _coupled_loc(self, x: Tensor) -> Tensor:
        """All channels' means, each given those before it: (*, 1, C, H, W) -> (*, K, C, H, W)."""
        if self.coefficients is None:
            return self.loc
        channels = x.unbind(-3)
        locs = [conditional_loc(self.loc, self.coefficients, channels[:c]) for c in range(len(channels))]
        return torch.stack(torch.broadcast_tensors(*locs), -3)

    def _average(self, values: Tensor) -> Tensor:
        """Average over components with weights π, (*B, K, C, H, W) -> (*B, C, H, W)."""
        return (self.logits.softmax(-3).unsqueeze(-3) * values).sum(-4)


def conditional_loc(loc: Tensor, coefficients: Tensor | None, earlier: Sequence[Tensor]) -> Tensor:
    """μ_c + Σ_{c' < c} ρ_cc' x_c' for the channel c that comes after the ``earlier`` ones.

    ``loc`` is (*, C, H, W), ``coefficients`` (*, C(C-1)/2, H, W), each earlier channel (*, H, W).
    """
    c = len(earlier)
    mean = loc.select(-3, c)
    if coefficients is None:
        return mean
    row = c * (c - 1) // 2  # the rows above hold 0 + 1 + ... + (c - 1)
    for j, x in enumerate(earlier):
        mean = mean + coefficients.select(-3, row + j) * x
    return mean


def category(probs: Tensor, u: Tensor) -> Tensor:
    """The first category whose cumulated probability exceeds u, (*, K), (*) -> (*)."""
    return (u.unsqueeze(-1) >= probs.cumsum(-1)[..., :-1]).sum(-1)


def _pick(parameter: Tensor, component: Tensor) -> Tensor:
    """The parameters of each pixel's component, (*B, K, C, H, W), (*S, *B, H, W) -> (*S, *B, C, H, W)."""
    index = component[..., None, None, :, :]  # (*S, *B, 1, 1, H, W)
    missing = index.dim() - parameter.dim()
    parameter = parameter.expand(*index.shape[:missing], *parameter.shape)
    return parameter.take_along_dim(index, dim=-4).squeeze(-4)


def _check_shapes(logits: Tensor, loc: Tensor, log_scale: Tensor, coefficients: Tensor | None) -> None:
    if loc.dim() < 4:
        raise ValueError(f"expected loc of shape (*B, K, C, H, W); got {tuple(loc.shape)}")
    *batch, k, c, h, w = loc.shape
    pairs = c * (c - 1) // 2
    _expect("logits", logits, (*batch, k, h, w), "(*B, K, H, W)")
    _expect("log_scale", log_scale, (*batch, k, c, h, w), "(*B, K, C, H, W)")
    if coefficients is not None:
        _expect("coefficients", coefficients, (*batch, k, pairs, h, w), "(*B, K, C(C-1)/2, H, W)")


def _expect(name: str, parameter: Tensor, shape: tuple[int, ...], letters: str) -> None:
    if parameter.shape != shape:
        raise ValueError(
            f"expected {name} of shape {letters} = {shape} to go with loc; got {tuple(parameter.shape)}"
        )
