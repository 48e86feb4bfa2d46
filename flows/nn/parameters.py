"""The layout of a conditioner's output: the parameters of every element."""

from torch import Tensor

from flows.flow import Shape


def stacked(shape: Shape, size: int) -> Shape:
    """The shape of a conditioner's output: `size` parameters per element, (P D,) or (P C, H, W)."""
    return (size * shape[0], *shape[1:])


def unstacked(output: Tensor, size: int, *, like: Tensor, event_dim: int) -> Tensor:
    r"""(\*batch, P D) to (P, \*batch, D); (\*batch, P C, H, W) to (P, \*batch, C, H, W); of `like`'s type."""
    return output.to(like.dtype).unflatten(-event_dim, (size, -1)).movedim(-event_dim - 1, 0)
