"""Autoregressive distributions: p(x) = Π_s p(x_s | x_<s), all factors from one pass of a network."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from distributions.ancestral import Sampler, SamplingTask, fixed_point, no_progress
from distributions.draws import uniforms
from distributions.temperature import at_temperature


class Network(Protocol):
    r"""Protocol of networks that compute features of every element of x from the elements before it.

    Attributes:
        event_shape: (C, \*space), (C, H, W) for images.
        sites: integers of that shape, the number of each element's site, 0 .. S - 1. An element's features
            depend only on x at sites of smaller numbers; the elements of one site are drawn together.
        context_shape: shape of one context, None if the network takes none.
        sampler: the network's own `Sampler`; optional.
    """

    event_shape: tuple[int, ...]
    sites: Tensor
    context_shape: tuple[int, ...] | None

    def __call__(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        r"""Features (N, F, \*space) of x (N, C, \*space), contexts (N, \*context_shape)."""


class Autoregressive(dist.TorchDistribution):
    r"""p(x | h) = Π_s p(x_s | x_{s' < s}, h) over the sites s of an event.

    ``log_prob`` takes one pass of the network, a sample as many as its sampler needs. The noise of a sample
    is drawn first, all of it, so that under one seed every sampler returns the same sample.

    Args:
        network: see `Network`.
        head: features (N, F, \*space) to a distribution over (C, \*space), independent in space.
        context: h, (\*B, \*context_shape), for a network that takes one.
        batch_shape: \*B, for a network that takes none.
        sampler: how x is found from the noise: `distributions.ancestral.ancestral`, one pass a site, is the
            reference; `fixed_point` takes fewer; by default the network's own, or else `fixed_point`.

    Shapes:
        batch: \*B, () without a context; event: (C, \*space).

    Support:
        That of the head's distribution.

    Raises:
        ValueError: if there is a context and the network takes none, or the other way round, or its shape
            is not the network's.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012
    has_rsample = False

    def __init__(
        self,
        network: Any,
        head: Callable[[Tensor], Any],
        *,
        context: Tensor | None = None,
        batch_shape: Any = (),
        sampler: Sampler | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.network, self.head, self.context = network, head, context
        self.sampler: Any = getattr(network, "sampler", fixed_point) if sampler is None else sampler
        batch = _context_batch(network.context_shape, context) or torch.Size(batch_shape)
        self.progress: Callable[[float], None] = no_progress
        super().__init__(batch, torch.Size(network.event_shape), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True)
    def support(self) -> Any:
        """The support of the factors."""
        return self._first_factors().support

    def factors(self, x: Tensor) -> Any:
        r"""The distribution whose element i is p(x_i | x_<i), batch (N,), at x (N, C, \*space), one pass.

        x has as many rows as the batch, or a multiple of it, whole batches one after the other.
        """
        repeats = len(x) // max(1, self.batch_shape.numel())
        return self._factors(x, torch.Size([repeats, *self.batch_shape]))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(value) in nats, summed over the event; one pass.

        Raises:
            ValueError: if the value does not end with the event's shape.
        """
        self._require_event(value)
        batch = self._batch(value)
        if not batch.numel():
            return self._blank(batch).flatten(len(batch)).sum(-1)
        rows = self._rows(value, batch)
        return self._factors(rows, batch).log_prob(rows).reshape(batch)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draw x, site by site."""
        batch = torch.Size(sample_shape) + self.batch_shape
        return self._draw(self._blank(batch), None, batch)

    def complete(self, x: Tensor, known: Tensor) -> Tensor:
        r"""Draw the rest of x given some of its elements: those known are kept, and seen by all sites after.

        Exact where the known sites come first; elsewhere what comes before them is drawn without looking
        ahead, as ancestral sampling does.

        Args:
            x: (\*batch, C, \*space), whose batch broadcasts with the distribution's; what is unknown may be
                anything finite.
            known: boolean, broadcasts to x.

        Raises:
            ValueError: if x does not end with the event's shape, or what is known is not boolean or of
                another shape.
        """
        self._require_event(x)
        if known.dtype != torch.bool or not _broadcasts(known.shape, x.shape):
            raise ValueError(
                f"expected known, booleans of a shape that broadcasts to {tuple(x.shape)}; got "
                f"{tuple(known.shape)}, {known.dtype}"
            )
        batch = self._batch(x)
        return self._draw(x, known.expand(x.shape), batch)

    def with_temperature(self, temperature: float) -> "Autoregressive":
        """The same with every factor at a temperature, see `distributions.temperature`."""
        new, head = copy.copy(self), self.head
        new.head = lambda features: at_temperature(head(features), temperature)
        return new

    def with_progress(self, progress: Callable[[float], None]) -> "Autoregressive":
        """The same; its samplers call `progress` with the share that is done, up to 1."""
        new = copy.copy(self)
        new.progress = progress
        return new

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Autoregressive":
        """The same distribution on a larger batch."""
        context = self.context
        if context is not None:
            context = context.expand(*batch_shape, *self.network.context_shape)
        new = Autoregressive(
            self.network,
            self.head,
            context=context,
            batch_shape=batch_shape,
            sampler=self.sampler,
            validate_args=self._validate_args,
        )
        new.progress = self.progress
        return new

    def _require_event(self, x: Tensor) -> None:
        shape = tuple(self.event_shape)
        if x.shape[-len(shape) :] != shape:  # what broadcasts to it is no event either
            raise ValueError(f"expected x of shape (*batch, {str(shape)[1:]}; got {tuple(x.shape)}")

    def _batch(self, x: Tensor) -> torch.Size:
        """The batch shape of x (*batch, C, *space) together with the distribution's."""
        return torch.broadcast_shapes(x.shape[: -len(self.event_shape)], self.batch_shape)

    def _rows(self, x: Tensor, batch: torch.Size) -> Tensor:
        """X (*, C, *space) at a batch shape, one row each, (N, C, *space)."""
        return x.expand(batch + self.event_shape).reshape(batch.numel(), *self.event_shape)

    def _factors(self, rows: Tensor, batch: torch.Size) -> Any:
        return self.head(self.network(rows, self._contexts(batch)))

    def _first_factors(self) -> Any:
        """The factors of one blank x, in a context of zeros: for what does not depend on values."""
        shape = self.network.context_shape
        context = None if self.context is None else self.context.new_zeros(1, *shape)
        return self.head(self.network(self._blank(torch.Size([1])), context))

    @torch.no_grad()
    def _draw(self, x: Tensor, known: Tensor | None, batch: torch.Size) -> Tensor:
        """X drawn where it is not known, a row each; the network in evaluation mode meanwhile."""
        shape = batch + self.event_shape
        if not batch.numel():
            return self._blank(batch)
        with evaluating(self.network):
            return self.sampler(self._task(x, known, batch)).reshape(shape)

    def _task(self, x: Tensor, known: Tensor | None, batch: torch.Size) -> SamplingTask:
        rows = self._rows(x, batch).to(self._blank(batch))
        free = torch.ones_like(rows, dtype=torch.bool) if known is None else ~self._rows(known, batch)
        size = uniforms(self._first_factors())
        return SamplingTask(
            network=self.network,
            head=self.head,
            context=self._contexts(batch),
            noise=torch.rand(len(rows), size, *self.event_shape[1:], dtype=rows.dtype, device=rows.device),
            start=torch.where(free, 0.0, rows),
            free=free,
            progress=self.progress,
        )

    def _contexts(self, batch: torch.Size) -> Tensor | None:
        """The context of every row of a batch shape that the distribution's broadcasts to."""
        if self.context is None:
            return None
        shape = self.network.context_shape
        return self.context.expand(*batch, *shape).reshape(batch.numel(), *shape)

    def _blank(self, batch: torch.Size) -> Tensor:
        like = next(iter(self.network.parameters()), self.network.sites)
        dtype = like.dtype if like.is_floating_point() else torch.get_default_dtype()
        return torch.zeros(batch + self.event_shape, dtype=dtype, device=like.device)


@contextlib.contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """A network's modules in evaluation mode, without dropout; each is in its own mode again afterwards."""
    training = (
        [module for module in network.modules() if module.training] if hasattr(network, "modules") else []
    )
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    sizes = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, wanted) for size, wanted in sizes)


def _context_batch(expected: tuple[int, ...] | None, context: Tensor | None) -> torch.Size:
    """The batch shape that a context brings.

    Raises:
        ValueError: if it is not what the network takes.
    """
    if (expected is None) != (context is None):
        got = None if context is None else tuple(context.shape)
        raise ValueError(f"the network takes contexts of shape {expected}; got {got}")
    if expected is None or context is None:
        return torch.Size()
    if context.shape[-len(expected) :] != torch.Size(expected):
        raise ValueError(
            f"the network takes contexts of shape {expected}; got a tensor of shape {tuple(context.shape)}"
        )
    return context.shape[: -len(expected)]
