"""The network of Flow++ (Ho et al. 2019), arXiv:1902.00275, section 3.3: gated residual convolutions."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from flows.flow import Shape
from flows.nn.activations import concat_elu
from flows.nn.conditioner import ContextProjection, over_images
from flows.nn.output import ConvOutput


class GatedConvNet(nn.Module):
    r"""A 3x3 convolution, residual blocks, a 3x3 convolution that starts at zero.

    A block is h = norm(h + gate(conv(h))) and, with attention, h = norm(h + gate(attention(h))) after it,
    where the norm is over the channels of a pixel and gate(a, b) = a sigmoid(b).

    Args:
        in_shape: (C, H, W).
        out_shape: (C', H, W).
        width: channels of the blocks; the paper has 96.
        blocks: how many; the paper has 10.
        heads: of the attention, which compares all pairs of pixels; 0 for none. The paper has 4.
        context: shape of one context, (K,) or (K, H, W), added to what the blocks get.

    Raises:
        ValueError: if the width is no multiple of the heads.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        *,
        width: int = 32,
        blocks: int = 2,
        heads: int = 0,
        context: Shape | None = None,
    ) -> None:
        super().__init__()
        shape = (width, *in_shape[1:])
        self.first = nn.Conv2d(in_shape[0], width, 3, padding=1)
        self.context = None if context is None else ContextProjection(context, shape)
        self.others = nn.Sequential()
        for _ in range(blocks):
            self.others.append(GatedConv(width))
            if heads:
                self.others.append(GatedAttention(shape, heads))
        self.others.append(ConvOutput(width, out_shape[0], 3))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The output for x and the context."""
        h = over_images(self.first, x)
        if self.context is not None:
            h = h + self.context(context)
        return over_images(self.others, h)


class GatedConv(nn.Module):
    """norm(h + gate(conv1x1(f(conv3x3(f(h)))))), f the ELU of h and of -h; (N, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * width, width, 3, padding=1)
        self.gate = nn.Conv2d(2 * width, 2 * width, 1)
        self.norm = ChannelNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        """The block's output."""
        change = self.gate(concat_elu(self.conv(concat_elu(h))))
        return self.norm(h + F.glu(change, dim=1))


class GatedAttention(nn.Module):
    """norm(h + gate(attention over the pixels of h + position)); (N, C, H, W) to the same."""

    def __init__(self, shape: Shape, heads: int) -> None:
        super().__init__()
        width = shape[0]
        if width % heads:
            raise ValueError(f"expected a width that {heads} heads divide; got {width}")
        self.heads = heads
        self.position = nn.Parameter(0.01 * torch.randn(shape))
        self.queries_keys_values = nn.Conv2d(width, 3 * width, 1)
        self.gate = nn.Conv2d(width, 2 * width, 1)
        self.norm = ChannelNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        """The block's output."""
        qkv = self.queries_keys_values(h + self.position)
        q, k, v = rearrange(qkv, "n (three heads c) h w -> three n heads (h w) c", three=3, heads=self.heads)
        seen = F.scaled_dot_product_attention(q, k, v)
        seen = rearrange(seen, "n heads (h w) c -> n (heads c) h w", h=h.shape[-2])
        return self.norm(h + F.glu(self.gate(seen), dim=1))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of every pixel; (N, C, H, W) to the same."""

    def forward(self, h: Tensor) -> Tensor:
        """The normalised map."""
        return super().forward(h.movedim(1, -1)).movedim(-1, 1)
