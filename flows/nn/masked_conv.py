r"""Masked convolutions: a pixel's output depends on what comes before it in raster order.

The order is rows from the top, pixels from the left, channels within a pixel (PixelRNN, arXiv:1601.06759);
two stacks of layers, so that nothing before a pixel is out of sight (Gated PixelCNN, arXiv:1606.05328).
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flows.flow import Shape
from flows.nn.conditioner import ContextProjection
from flows.nn.output import gain, zero


class MaskedConv2d(nn.Conv2d):
    r"""A convolution that sees pixels above, those to the left in its row, and part of its own pixel.

    Within a pixel, each color has an equal share of neighbouring channels, in the input and in the output
    alike (`channel_mask`). An output of color c sees inputs of colors below c (type A: `include_current`
    false), or c as well (type B). Layers of type B after one of type A keep the order of the channels of an
    image with `colors` channels.

    One such layer sees all within its kernel; several in a row miss a wedge to the upper right (the blind
    spot), unless the kernel is one row high, as in `MaskedConvNet`. `zoo.nn.causal` has masks of the same
    order in its `CausalConv2d`, which can be evaluated pixel by pixel; a flow is inverted by whole passes and
    has no use for that.

    Args:
        in_channels: of any number.
        out_channels: of any number.
        kernel_size: odd, or (height, width); zeros pad the image.
        include_current: see above.
        colors: number of colors a pixel.
        gain: factor of the weight (`flows.nn.output`).

    Shapes: (N, C, H, W) to (N, C', H, W).

    Raises:
        ValueError: if a side of the kernel is even.
    """

    mask: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        include_current: bool,
        colors: int = 1,
        gain: float = 1.0,
    ) -> None:
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        if height % 2 == 0 or width % 2 == 0:
            raise ValueError(f"expected a kernel of odd sides, with a pixel in its middle; got {kernel_size}")
        super().__init__(in_channels, out_channels, (height, width), padding=(height // 2, width // 2))
        before = torch.arange(height * width).reshape(height, width) < height * width // 2
        mask = before.repeat(out_channels, in_channels, 1, 1)
        mask[:, :, height // 2, width // 2] = channel_mask(
            out_channels, in_channels, colors, include_current=include_current
        )
        self.register_buffer("mask", gain * mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The convolution with the masked kernel."""
        return self._conv_forward(x, self.weight * self.mask, self.bias)


class RowsAbove(nn.Conv2d):
    """A convolution that sees its own row and those above it, over the whole width of a k x k kernel.

    Args:
        in_channels: of any number.
        out_channels: of any number.
        kernel_size: k, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        self.reach = kernel_size // 2
        super().__init__(in_channels, out_channels, (self.reach + 1, kernel_size), padding=(0, self.reach))

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, with zeros above the first row."""
        return super().forward(F.pad(x, (0, 0, self.reach, 0)))


class MaskedConvNet(nn.Module):
    r"""P parameters for each element of an image, from the elements before it, (\*batch, P C, H, W).

    A vertical stack v sees the rows above, a horizontal one h the row to the left as well:

        v_l = conv(relu v_(l-1)),   h_l = masked conv(relu h_(l-1)) + down(v_l)

    with `down` a shift by one row and a linear map of the channels. There is no blind spot; each layer adds
    (k - 1) / 2 pixels to the reach in all directions. The last layer, 1x1, starts at zero.

    Args:
        event_shape: (C, H, W).
        size: P. The output has the first parameters of the C channels first, then the second ones ...
        hidden: channels of the hidden layers, at least one layer; C or more of them, or the order of the
            channels within a pixel leaves some dependencies out.
        kernel: k, odd.
        reverse: whether the order is the opposite one, of rows, of pixels and of channels.
        context: shape of one context, (K,) or (K, H, W), added to the first layer of h, with no
            mask.

    Raises:
        ValueError: if there is no hidden layer, or if the kernel is even.
    """

    def __init__(
        self,
        event_shape: Shape,
        size: int,
        *,
        hidden: Sequence[int] = (32, 32),
        kernel: int = 3,
        reverse: bool = False,
        context: Shape | None = None,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("a masked convolutional network needs at least one hidden layer; got hidden=()")
        colors = event_shape[0]
        self.reverse = reverse
        widths = list(itertools.pairwise([colors, *hidden]))
        self.vertical = nn.ModuleList(RowsAbove(a, b, kernel) for a, b in widths)
        self.horizontal = nn.ModuleList(
            MaskedConv2d(a, b, (1, kernel), include_current=i > 0, colors=colors)
            for i, (a, b) in enumerate(widths)
        )
        self.across = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for width in hidden)
        self.last = MaskedConv2d(
            hidden[-1], size * colors, 1, include_current=True, colors=colors, gain=gain(hidden[-1])
        )
        self.context = None if context is None else ContextProjection(context, (hidden[0], *event_shape[1:]))
        zero(self.last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The parameters for x and the context."""
        added = None if self.context is None else self.context(context)
        if self.reverse:
            x, added = _turned(x), None if added is None else added.flip(-2, -1)
        output = self._stacks(x, added)
        # The turn swaps the P parameters of a channel too, which is but a matter of their names.
        return parameters_first(_turned(output) if self.reverse else output, x.shape[-3])

    def _stacks(self, x: Tensor, added: Tensor | None) -> Tensor:
        batch = x.shape[:-3] if added is None else torch.broadcast_shapes(x.shape[:-3], added.shape[:-3])
        v = h = x.expand(*batch, *x.shape[-3:]).reshape(-1, *x.shape[-3:])
        for i, (vertical, horizontal, across) in enumerate(
            zip(self.vertical, self.horizontal, self.across, strict=True)
        ):
            v = vertical(v)
            h = horizontal(h) + across(_down(v))
            if i == 0 and added is not None:
                h = (h.reshape(*batch, *h.shape[1:]) + added).reshape(h.shape)
            v, h = v.relu(), h.relu()
        output = self.last(h)
        return output.reshape(*batch, *output.shape[1:])


def channel_mask(out_channels: int, in_channels: int, colors: int, *, include_current: bool) -> Tensor:
    """Which channels of its own pixel a convolution sees, boolean (out_channels, in_channels).

    Args:
        out_channels: of any number; channel i is of color floor(i `colors` / `out_channels`).
        in_channels: likewise.
        colors: that are drawn one after the other, R, G, B.
        include_current: whether inputs of the output's own color are seen, too (type B).
    """
    color_out = torch.arange(out_channels)[:, None] * colors // out_channels
    color_in = torch.arange(in_channels) * colors // in_channels
    return color_in <= color_out if include_current else color_in < color_out


def parameters_first(output: Tensor, colors: int) -> Tensor:
    r"""The parameters of an image's channels, (\*batch, C P, H, W) -> (\*batch, P C, H, W)."""
    return output.unflatten(-3, (colors, -1)).transpose(-4, -3).flatten(-4, -3)


def _down(x: Tensor) -> Tensor:
    """Each row in the place of the next, zeros in the first."""
    return F.pad(x, (0, 0, 1, 0))[..., :-1, :]


def _turned(x: Tensor) -> Tensor:
    """Rows, pixels and channels from the other end."""
    return x.flip(-3, -2, -1)
