"""Activations; those that flows need too are in `flows.nn.activations`."""

from torch import Tensor, nn

from flows.nn.activations import concat_elu, elu

__all__ = ["ELU", "concat_elu", "elu"]


class ELU(nn.Module):
    """`elu` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return elu(x)
