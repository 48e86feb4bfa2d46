"""Flows around anything that returns a distribution: a prior, a posterior, a likelihood.

Such a part is a module that, called with b (a prior with nothing), returns p(a | b). It may separate the
computation that depends only on b: ``encode(b)`` returns tensors with b's batch dimension and
``distribution(encode(b))`` is ``part(b)``. Then its networks run once per image, however many samples are
drawn. A callable without these two methods works as well, but is slower.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from distributions import TransformedDistribution


class Transformed(nn.Module):
    """A head, prior, posterior or likelihood pushed through flows.

        a = f_n(... f_1(a_0; c(b)); c(b)),   a_0 ~ part(b)

    The result is a `distributions.TransformedDistribution`. The zoo's objectives draw and score its samples
    in one pass; Pyro's own ELBOs score them afterwards, by an inverse pass.

    Args:
        part: returns the distribution of a_0.
        flows: a flow, or several, the first of them applied first.
        context: c, called with b, returns (B, K) or (B, K, H, W) for the flows made with a context; encoded
            once per image.

    Raises:
        ValueError: if a flow needs a context and there is none, or the other way round.

    >>> import pyro.distributions as dist
    >>> import torch
    >>> from flows import AffineCoupling
    >>> normal = lambda b: dist.Normal(b, 1.0).to_event(1)
    >>> posterior = Transformed(normal, AffineCoupling(4, context=2), context=nn.Linear(4, 2))
    >>> posterior(torch.zeros(3, 4)).rsample().shape
    torch.Size([3, 4])
    """

    def __init__(self, part: Any, flows: Any, *, context: Any = None) -> None:
        super().__init__()
        self.part: Any = part
        self.context: Any = context
        self.flows = nn.ModuleList(flows if isinstance(flows, (Sequence, nn.ModuleList)) else [flows])
        self._check()

    def encode(self, b: Tensor) -> Any:
        """The part's features of b, and the context."""
        return encoded(self.part, b), self._context(b)

    def distribution(self, features: Any) -> Any:
        """The transformed distribution with these features of b."""
        of_part, context = features
        return self._push(distribution_of(self.part, of_part), context)

    def forward(self, *b: Tensor) -> Any:
        """p(a | b), or p(a) of a prior."""
        return self._push(self.part(*b), self._context(*b))

    def _context(self, *b: Tensor) -> Tensor | None:
        return None if self.context is None else self.context(*b)

    def _push(self, base: Any, context: Tensor | None) -> Any:
        parts: Any = self.flows
        flows = [flow.condition(context) if _is_conditional(flow) else flow for flow in parts]
        return TransformedDistribution(base, flows)

    def _check(self) -> None:
        conditional = [flow for flow in self.flows if _is_conditional(flow)]
        if conditional and self.context is None:
            raise ValueError(
                f"{type(conditional[0]).__name__} needs a context of shape {conditional[0].context_shape}: "
                "transformed(..., context=a network that returns it)"
            )
        if self.context is not None and not conditional:
            raise ValueError("no flow takes the context: make them with context=K, or leave it out here")


def transformed(part: Any, flows: Any, *, context: Any = None) -> Transformed:
    """Wrap a prior, a posterior or a likelihood in flows; see `Transformed`."""
    return Transformed(part, flows, context=context)


def encoded(part: Any, b: Tensor) -> Any:
    """The features that `part` computes from b; b itself where it has no ``encode``."""
    return part.encode(b) if _is_split(part) else b


def distribution_of(part: Any, features: Any) -> Any:
    """The distribution of `part` from its features, see `encoded`."""
    return part.distribution(features) if _is_split(part) else part(features)


def _is_split(part: Any) -> bool:
    return hasattr(part, "encode") and hasattr(part, "distribution")


def _is_conditional(flow: Any) -> bool:
    return getattr(flow, "context_shape", None) is not None
