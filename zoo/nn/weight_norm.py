"""Weight normalisation, and its data-dependent initialisation (Salimans & Kingma 2016, arXiv:1602.07868).

    W_f = g_f v_f / |v_f|                                              of every output channel f
    v ~ N(0, 0.05^2), g = 1, b = 0                                     at first
    g <- g s / sd(y), b <- (b - mean(y)) s / sd(y)                     by a batch, y the outputs on it

Then the outputs have mean 0 and standard deviation s on that batch. No forward pass does the last line:
`zoo.initialise` does, once.

`weight_normalised` changes the class of a layer, which is what ``torch.nn.utils.parametrize`` does too, by a
class made at run time. Classes that are written down can be pickled, which parametrised modules cannot, keep
the layers' names in a saved state, and compute W once per call instead of at each access of ``layer.weight``;
PyTorch's ``parametrizations.weight_norm`` also has wrong second derivatives (see `normalised`).
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def weight_normalised(module: nn.Module, *, std: float = 0.05) -> nn.Module:
    """Weight-normalise every convolution, transposed convolution and dense layer of a module, in place.

    The layers (of the classes `nn.Conv2d`, `nn.ConvTranspose2d` and `nn.Linear` themselves, not of classes
    derived from them) stay the objects they are, wherever they are shared, but start anew: v ~ N(0, std^2),
    g = 1, b = 0. Each gains as many parameters as it has output channels: make the optimiser afterwards.

    Args:
        module: a model, a guide, a network; it may be on the meta device.
        std: of v.

    Returns:
        The module.

    Raises:
        ValueError: at a transposed convolution of several groups.
    """
    for layer in module.modules():
        kind = _NORMALISED.get(type(layer))
        if kind is not None:
            layer.__class__ = kind
            layer.normalise(std)  # type: ignore[operator]
    return module


class WeightNorm(nn.Module):
    """Base of the weight-normalised layers. `weight` is v.

    Attributes:
        gain: g, (F,).
        initialised: whether `standardise` has been called; saved with the parameters.
    """

    weight: Any
    bias: Any
    gain: nn.Parameter
    initialised: Tensor
    of_weight: ClassVar[int] = 0  # the dimension of the output channels
    of_output: ClassVar[int] = 1

    def __init__(self, *args: Any, std: float = 0.05, **options: Any) -> None:
        super().__init__(*args, **options)
        self.normalise(std)

    def normalise(self, std: float) -> None:
        """Start anew, with a gain: v ~ N(0, std^2), g = 1, b = 0."""
        nn.init.normal_(self.weight, std=std)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        self.gain = nn.Parameter(self.weight.new_ones(self.weight.shape[self.of_weight]))
        self.register_buffer("initialised", torch.zeros((), dtype=torch.bool, device=self.weight.device))

    def effective(self) -> Tensor:
        """The weight W."""
        return normalised(self.weight, self.gain, self.of_weight)

    @property
    def needs_initialisation(self) -> bool:
        """Whether no batch has set g and b yet."""
        return not self.initialised

    @torch.no_grad()
    def standardise(self, x: Tensor, *, scale: float) -> None:
        """Set g and b so that the output at x has mean 0 and standard deviation `scale` in every channel.

        Raises:
            ValueError: if the output is not finite; g and b are then as they were.
        """
        standardise(self, self.forward(x), scale, channels=self.of_output)
        self.initialised.fill_(True)


class WeightNormConv2d(WeightNorm, nn.Conv2d):
    """`nn.Conv2d`, weight-normalised; same arguments, and `std` of v."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F, H', W')."""
        return self._conv_forward(x, self.effective(), self.bias)


class WeightNormConvTranspose2d(WeightNorm, nn.ConvTranspose2d):
    """`nn.ConvTranspose2d`, weight-normalised; same arguments, and `std` of v.

    Raises:
        ValueError: with several groups, where a channel of the weight is not a channel of the output.
    """

    of_weight = 1

    def normalise(self, std: float) -> None:
        """See `WeightNorm`."""
        if self.groups != 1:
            raise ValueError(
                f"expected a transposed convolution of one group; got {self.groups}: make one for each group"
            )
        super().normalise(std)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, F, H', W')."""
        sizes: Any = (self.stride, self.padding, self.kernel_size, 2, self.dilation)
        output_padding = self._output_padding(x, output_size, *sizes)
        options: Any = (self.stride, self.padding, output_padding, self.groups, self.dilation)
        return F.conv_transpose2d(x, self.effective(), self.bias, *options)


class WeightNormLinear(WeightNorm, nn.Linear):
    """`nn.Linear`, weight-normalised; same arguments, and `std` of v."""

    of_output = -1

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., F)."""
        return F.linear(x, self.effective(), self.bias)


_NORMALISED: dict[type, type[WeightNorm]] = {
    nn.Conv2d: WeightNormConv2d,
    nn.ConvTranspose2d: WeightNormConvTranspose2d,
    nn.Linear: WeightNormLinear,
}


def normalised(weight: Tensor, gain: Tensor | None, dim: int = 0) -> Tensor:
    """The weight W of v and g (F,); without a gain v itself.

    PyTorch's fused ``torch._weight_norm`` is two to five times as quick, by some 0.2 ms per layer, but its
    second derivatives are wrong (2.11 to 2.15).

    Args:
        weight: v.
        gain: g.
        dim: dimension of the output channels.
    """
    if gain is None:
        return weight
    norm = _norm(weight, dim)
    return weight * (gain.view_as(norm) / norm)


def gain_of(weight: Tensor, dim: int = 0) -> nn.Parameter:
    """The g with which W = v, (F,); `dim` is that of the output channels."""
    return nn.Parameter(_norm(weight.detach(), dim).flatten())


def standardise(layer: Any, y: Tensor, scale: float, *, channels: int = 1) -> None:
    """Set a layer's gain and bias so that its outputs y would have had mean 0 and standard deviation `scale`.

    Channels that do not vary are centred only; without a bias they are not centred.

    Args:
        layer: with `gain` (F,) and `bias` (F,) or None.
        y: its outputs with the present gain and bias; may be empty, then nothing is set.
        scale: positive.
        channels: the dimension of y's channels; statistics are over all others.

    Raises:
        ValueError: if y is not finite; nothing is set.
    """
    if not y.numel():
        return
    if not y.isfinite().all():
        raise ValueError(
            "expected a finite output on the batch that initialises the layer: look for NaN in it"
        )
    others = [d for d in range(y.dim()) if d != channels % y.dim()]
    mean, deviation = y.mean(others), y.std(others, correction=0)
    varies = deviation > 1e-5 * mean.abs().clamp(min=1)  # below is what rounding leaves of a constant
    factor = torch.where(varies, scale / deviation, 1.0)
    layer.gain.mul_(factor)
    if layer.bias is not None:
        layer.bias.sub_(mean).mul_(factor)


def _norm(weight: Tensor, dim: int) -> Tensor:
    others = [d for d in range(weight.dim()) if d != dim]
    return torch.linalg.vector_norm(weight, dim=others, keepdim=True)
