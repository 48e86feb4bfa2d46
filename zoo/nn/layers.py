"""The few layers that all networks are built from. Shapes are those of one image, (C, H, W) or (D,)."""

import math
from typing import Any

from torch import Tensor, nn

Shape = tuple[int, ...]


class Shaped(nn.Sequential):
    """A sequence of modules that knows the shape of its output and, if it reads images, of these.

    Args:
        out_shape: of the output.
        modules: applied from first to last.
        takes: (C, H, W) of the images that it reads, which are then checked; None for any input.
    """

    def __init__(self, out_shape: Shape, *modules: nn.Module, takes: Shape | None = None) -> None:
        super().__init__(*modules)
        self.out_shape = tuple(out_shape)
        self.takes = None if takes is None else tuple(takes)

    def forward(self, x: Any) -> Any:
        """The modules in a row.

        Raises:
            ValueError: for images of another shape.
        """
        if self.takes is not None:
            require_images(x, self.takes)
        return super().forward(x)


def require_images(x: Tensor, shape: Shape) -> None:
    """Check that x is a batch of images of that shape, of floats.

    Raises:
        ValueError: if it is not; names what came and the cure.
    """
    if tuple(x.shape[1:]) == tuple(shape) and x.is_floating_point():
        return
    cure = ""
    if tuple(x.shape) == tuple(shape):
        cure = ": x[None] is a batch of one image"
    elif not x.is_floating_point():
        cure = ": encode them first, for example by zoo.data.Binary()(x, levels=256)"
    expected = ", ".join(map(str, shape))
    raise ValueError(
        f"expected images of shape (B, {expected}), floats; got {tuple(x.shape)}, {x.dtype}{cure}"
    )


def out_shape_of(net: Any) -> Shape:
    """``net.out_shape``.

    Raises:
        TypeError: if it has none.
    """
    shape = getattr(net, "out_shape", None)
    if shape is None:
        raise TypeError(
            "expected a network with an attribute out_shape, (C, H, W) or (D,), of what it returns; got "
            f"{type(net).__name__}: set its out_shape"
        )
    return tuple(shape)


def if_image(shape: Shape) -> Shape | None:
    """The shape if it is an image's, (C, H, W); None for a vector's."""
    return tuple(shape) if len(shape) == 3 else None


def project(in_shape: Shape, out_shape: Shape, *, kernel: int | tuple[int, int] = 1) -> Shaped:
    """The linear map between two shapes: dense from or to a vector, a convolution between maps.

    Args:
        in_shape: (C, H, W) or (D,).
        out_shape: (C', H, W) or (D',).
        kernel: of the convolution; as large as the map itself, it sees all of it.

    Raises:
        ValueError: between two maps of different resolution.
    """
    if len(in_shape) == 3 and len(out_shape) == 3:
        if in_shape[1:] != out_shape[1:]:
            raise ValueError(f"expected maps of equal resolution; got {in_shape} and {out_shape}")
        return Shaped(out_shape, *_same_size(in_shape[0], out_shape[0], kernel))
    dense = nn.Linear(math.prod(in_shape), math.prod(out_shape))
    return Shaped(out_shape, nn.Flatten(), dense, nn.Unflatten(1, tuple(out_shape)))


def _same_size(c: int, d: int, kernel: int | tuple[int, int]) -> list[nn.Module]:
    """A convolution that keeps the resolution; PyTorch's own padding warns about even kernels."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    if height % 2 and width % 2:
        return [nn.Conv2d(c, d, (height, width), padding=(height // 2, width // 2))]
    left, top = (width - 1) // 2, (height - 1) // 2
    pad = nn.ZeroPad2d((left, width - 1 - left, top, height - 1 - top))
    return [pad, nn.Conv2d(c, d, (height, width))]


def resample(in_shape: Shape, out_shape: Shape, kernel: int) -> nn.Module:
    """The convolution from one map to another: strided where `out_shape` is smaller, transposed where larger.

    Args:
        in_shape: (C, H, W).
        out_shape: (C', H', W'); the smaller resolution is the larger one over the stride, rounded up.
        kernel: odd; 1 is used between maps of equal resolution.
    """
    (c, *size), (d, *target) = in_shape, out_shape
    if size == target:
        return nn.Conv2d(c, d, 1)
    if smaller(target, size):
        return nn.Conv2d(c, d, kernel, stride=strides_between(size, target), padding=kernel // 2)
    return transposed(c, d, kernel, size, target)


def transposed(c: int, d: int, kernel: int, size: Any, target: Any) -> nn.ConvTranspose2d:
    """The transposed convolution from resolution `size` (H, W) to `target` (H', W') exactly."""
    strides = strides_between(target, size)
    odd = [t - 1 - (s - 1) * stride for s, t, stride in zip(size, target, strides, strict=True)]
    return nn.ConvTranspose2d(
        c, d, kernel, stride=strides, padding=kernel // 2, output_padding=(odd[0], odd[1])
    )


def strided(shape: Shape, stride: int) -> Shape:
    """The shape (C, H, W) after a stride, rounded up: 28 -> 14 -> 7 -> 4."""
    c, *size = shape
    return (c, *(math.ceil(s / stride) for s in size))


def smaller(size: Any, than: Any) -> bool:
    """Whether a resolution (H, W) is smaller than another: in one side at least, and larger in none."""
    return size != than and all(a <= b for a, b in zip(size, than, strict=True))


def strides_between(large: Any, small: Any) -> tuple[int, int]:
    """The stride of each side that leads from the resolution `large` to `small`; 1 where they are equal.

    Raises:
        ValueError: if there is none.
    """
    down, right = (math.ceil(a / b) for a, b in zip(large, small, strict=True))
    if [math.ceil(large[0] / down), math.ceil(large[1] / right)] != list(small):
        raise ValueError(f"no stride leads from resolution {tuple(large)} to {tuple(small)}")
    return down, right
