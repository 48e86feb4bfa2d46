"""A named flow for the laws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from distributions import TransformedDistribution
from flows import Inverse


@dataclass(frozen=True)
class Case:
    """How a flow is made, and what it cannot be held to.

    Attributes:
        make: the flow; its own ``event_shape`` and ``context_shape`` say what it takes.
        atol: of a round trip in float64; 1e-8 where the inverse is a numerical one.
        noise: standard deviation of what is added to every parameter, away from the identity.
        compiles: whether its log_prob is one graph for ``torch.compile``.
        elementwise: whether it can be vmapped.
        reach: the largest |x_i| at which everything is finite.
    """

    make: Callable[[], Any]
    atol: float = 1e-9
    noise: float = 0.1
    compiles: bool = True
    elementwise: bool = True
    reach: float = 100.0

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


def density(flow: Any, context: Tensor | None = None) -> Any:
    """A standard normal, of no batch, through the flow."""
    base = dist.Normal(torch.zeros(flow.in_shape, dtype=dtype_of(flow)), 1.0).to_event(len(flow.in_shape))
    return TransformedDistribution(base, [at(flow, context)])


def passes(flow: Any) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """Both directions: the pass, the shape of the events it takes and of those it returns."""
    return (
        (flow.call_and_log_det, flow.in_shape, flow.event_shape),
        (flow.inverse_and_log_det, flow.event_shape, flow.in_shape),
    )


def original(flow: Any) -> Any:
    """What a flow is the inverse of, or the flow itself."""
    return original(flow.original) if isinstance(flow, Inverse) else flow


def dtype_of(flow: nn.Module) -> torch.dtype:
    return next((p.dtype for p in flow.parameters()), torch.float64)
