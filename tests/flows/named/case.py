"""A named flow for the laws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """How a flow is made, and what it cannot be held to.

    Attributes:
        make: the flow; its own ``event_shape`` and ``context_shape`` say what it takes.
        atol: of a round trip in float64; 1e-8 where the inverse is a numerical one.
        noise: standard deviation of what is added to every parameter, away from the identity.
        compiles: whether its log_prob is one graph for ``torch.compile``.
        elementwise: whether it can be vmapped.
    """

    make: Callable[[], Any]
    atol: float = 1e-9
    noise: float = 0.1
    compiles: bool = True
    elementwise: bool = True

    def trained(self, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
        """The flow with parameters away from their initial values, the same at every call."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            flow = self.make().to(dtype)
            for parameter in flow.parameters():
                with torch.no_grad():
                    parameter.add_(self.noise * torch.randn_like(parameter))
        return flow.eval()


def point(flow: Any, batch: Any = (), *, scale: float = 1.0, seed: int = 0, shape: Any = None) -> Tensor:
    """Normal x (*batch, *in_shape) of the flow's type, or of another event shape."""
    generator = torch.Generator().manual_seed(seed)
    shape = flow.in_shape if shape is None else shape
    x = torch.randn(*batch, *shape, dtype=torch.float64, generator=generator)
    return (scale * x).to(dtype_of(flow))


def context(flow: Any, batch: Any = (), *, seed: int = 1) -> Tensor | None:
    """Normal contexts (*batch, *context_shape), None for a flow without."""
    return point(flow, batch, seed=seed, shape=flow.context_shape) if flow.context_shape else None


def at(flow: Any, context: Tensor | None) -> Any:
    """The transform, conditioned where it needs to be."""
    return flow if context is None else flow.condition(context)


def dtype_of(flow: nn.Module) -> torch.dtype:
    return next((p.dtype for p in flow.parameters()), torch.float64)
