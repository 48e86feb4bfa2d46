"""The latents of a joint run as one vector an image, free to move in all of R^D.

A latent z with a constrained support is z = T(u) with T Pyro's ``biject_to`` of that support; a density of z
then is one of u by the factor |dT/du|. Supports may depend on other latents: T is taken anew in every run.
"""

import math
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import biject_to, constraints

from zoo.errors import UsageError
from zoo.infer.handlers import Draws


class Block(NamedTuple):
    """Where a latent is in the vector: its columns, and the shape of its unconstrained value for one row."""

    name: str
    shape: torch.Size
    columns: slice


class Flattened(Draws):
    """Draws the latents, or takes those given, and collects their unconstrained values.

    Args:
        given: values of latents, by site, that are not drawn.
    """

    def __init__(self, given: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.given = given or {}
        self.values: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.given and not msg["is_observed"]:
            msg["value"], msg["done"] = self.given[msg["name"]], True
        super()._pyro_sample(msg)

    def _pyro_post_sample(self, msg: Any) -> None:
        name = msg["name"]
        if is_latent(msg) and name not in self.values:
            transform = to_support(name, msg["fn"])
            self.values[name] = msg["value"] if transform is None else transform.inv(msg["value"])

    def vector(self) -> Tensor:
        """All latents, (N, D)."""
        return torch.cat([value.reshape(len(value), -1) for value in self.values.values()], dim=1)

    def blocks(self) -> list[Block]:
        """Which columns are which latent's."""
        blocks, start = [], 0
        for name, value in self.values.items():
            stop = start + math.prod(value.shape[1:])
            blocks.append(Block(name, value.shape[1:], slice(start, stop)))
            start = stop
        return blocks


class Placed(Messenger):
    """Gives every latent the value that a vector u (N, D) stands for.

    Attributes:
        log_jacobian: log |dT/du| of all latents met so far, (N,), or 0.0 where all of T are the identity.
    """

    def __init__(self, blocks: list[Block], u: Tensor) -> None:
        super().__init__()
        self.left = {b.name: u[:, b.columns].reshape(len(u), *b.shape) for b in blocks}
        self.placed: dict[str, Tensor] = {}
        self.log_jacobian: Any = 0.0

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if not is_latent(msg):
            return
        if name in self.left:  # met again, a latent that the guide drew has the value it has
            self.placed[name] = self._place(name, msg["fn"], self.left.pop(name))
        msg["value"], msg["done"] = self.placed[name], True

    def _place(self, name: str, fn: Any, u: Tensor) -> Tensor:
        transform = to_support(name, fn)
        if transform is None:
            return u
        z = transform(u)
        log_det = transform.log_abs_det_jacobian(u, z)
        self.log_jacobian = self.log_jacobian + log_det.reshape(len(u), -1).sum(1).double()
        return z


def is_latent(msg: Any) -> bool:
    """Whether a message is of a latent variable."""
    return not (msg["is_observed"] or site_is_subsample(msg) or msg["infer"].get("_deterministic"))


def to_support(name: str, fn: Any) -> Any:
    """The bijection from R^n to the support of `fn`; None where that is all of R^n.

    Raises:
        UsageError: if there is none, for a discrete variable or a point mass.
    """
    if isinstance(fn, dist.Delta) or fn.support.is_discrete:
        kind = "a point mass" if isinstance(fn, dist.Delta) else "discrete"
        raise UsageError(
            f"annealing moves latents by their gradient, and {name!r} is {kind}: observe it "
            "(pyro.condition), or sum it out in the model"
        )
    base = fn.support
    while isinstance(base, constraints.independent):
        base = base.base_constraint
    return None if base is constraints.real else biject_to(fn.support)
