"""Space to depth: fewer pixels with more channels each."""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor

from flows.flow import Flow, Pass, Shape, as_shape


class Squeeze(Flow):
    r"""Squares of pixels become channels (RealNVP, arXiv:1605.08803, section 3.6).

    Forward:    (C, H, W) to (f^2 C, H / f, W / f);  log |det| = 0
    Inverse:    back, `Squeeze(...).inv`

    Channel c of pixel (f h + a, f w + b) becomes channel f^2 c + f a + b of pixel (h, w), as in
    ``torch.nn.PixelUnshuffle``.

    Args:
        in_shape: (C, H, W), of x.
        factor: f, 2 in the papers.

    Raises:
        ValueError: if H or W is no multiple of the factor.

    >>> import torch
    >>> Squeeze((1, 2, 2))(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).flatten()
    tensor([1., 2., 3., 4.])
    """

    def __init__(self, in_shape: Sequence[int], *, factor: int = 2) -> None:
        channels, height, width = as_image_shape(in_shape)
        if height % factor or width % factor:
            raise ValueError(
                f"squeezing needs a height and a width that are multiples of {factor}; got an image of "
                f"{height} x {width}"
            )
        super().__init__((channels * factor**2, height // factor, width // factor), in_shape=in_shape)
        self.factor = factor

    def _forward(self, x: Tensor, context: Tensor | None) -> Pass:
        f = self.factor
        y = rearrange(x, "... c (h a) (w b) -> ... (c a b) h w", a=f, b=f)
        return y, x.new_zeros(x.shape[:-3])

    def _backward(self, y: Tensor, context: Tensor | None) -> Pass:
        f = self.factor
        x = rearrange(y, "... (c a b) h w -> ... c (h a) (w b)", a=f, b=f)
        return x, y.new_zeros(y.shape[:-3])


def as_image_shape(shape: int | Sequence[int]) -> Shape:
    """(C, H, W) as a tuple.

    Raises:
        ValueError: unless it is three positive integers.
    """
    sizes = as_shape(shape)
    if len(sizes) != 3:
        raise ValueError(f"expected the shape of an image, (C, H, W); got {shape}")
    return sizes
