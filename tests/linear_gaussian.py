"""Linear-Gaussian models, whose evidence and posteriors are known exactly, and guides of every kind for them.

Every variable is a linear map of those before it plus noise, so all of them together are one normal
distribution; conditioning it gives log p(x) and each posterior. Numbers are float64.
"""

import re
from dataclasses import dataclass

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from zoo import Guide, Program, batch_plate, latent
from zoo.infer.programs import batch_size

IMAGE = (1, 1, 3)


class JointNormal:
    """N(0, C) over named vectors, C = M M^T."""

    def __init__(self, rows: dict[str, Tensor]) -> None:
        self.where, start = {}, 0
        for name, m in rows.items():
            self.where[name] = slice(start, start + len(m))
            start += len(m)
        m = torch.cat(list(rows.values()))
        self.covariance = m @ m.T

    def marginal(self, name: str):
        where = self.where[name]
        cov = self.covariance[where, where]
        return dist.MultivariateNormal(torch.zeros(len(cov), dtype=cov.dtype), cov)

    def moments(self, names: list[str], given: dict[str, Tensor]):
        """Mean (B, D) and covariance (D, D) of some variables given others, each (B, ...)."""
        a = torch.cat([torch.arange(len(self.covariance))[self.where[n]] for n in names])
        b = torch.cat([torch.arange(len(self.covariance))[self.where[n]] for n in given])
        values = torch.cat([v.flatten(1) for v in given.values()], dim=1)
        cross = self.covariance[a][:, b]
        gain = torch.linalg.solve(self.covariance[b][:, b], cross.T).T
        return values @ gain.T, self.covariance[a][:, a] - gain @ cross.T


def layer_of(name: str) -> int | None:
    """The layer of a site of the catalogue: i of ``z_i``, ``z_i_bu`` and ``z_i_td``, 1 of ``z``."""
    found = re.fullmatch(r"z(?:_(\d+)(?:_bu|_td)?)?", name)
    return int(found[1] or 1) if found else None


@dataclass
class Error:
    """How far a guide is from the exact posterior; none by default."""

    shift: float = 0.0
    width: float = 1.0


NONE = Error()
WRONG = Error(shift=0.3, width=1.3)
VERY_WRONG = Error(shift=0.7, width=1.3)


class LinearGaussian(Program):
    """p(z_n) ... p(z_1 | z_>1) p(x | z); sites ``z_n`` ... ``z_1`` and ``x``, each latent a vector.

    Args:
        sizes: of z_n ... z_1.
        image: whether x has the event shape (1, 1, 3), or is a vector of 3.
    """

    def __init__(self, sizes: list[int], *, image: bool = True, noise: float = 0.7) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(sum(sizes))
        self.latents = [f"z_{i}" for i in range(len(sizes), 0, -1)]
        self.shape = IMAGE if image else (3,)
        self.noise = noise
        above = 0
        self.maps: dict[str, Tensor] = {}
        for name, size in zip([*self.latents, "x"], [*sizes, 3], strict=True):
            self.maps[name] = torch.randn(size, above, generator=generator, dtype=torch.float64)
            above += size
        self.exact = self._joint(above)

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        n = batch_size(x, n)
        known = torch.zeros(n, 0, dtype=torch.float64)
        with batch_plate():
            for name in self.latents:
                scale = 1.0 if not known.shape[1] else self.noise
                z = latent(
                    name,
                    dist.Normal(known @ self.maps[name].T, scale).to_event(1),
                    known,
                    layer=layer_of(name),
                )
                known = torch.cat([known, z], dim=1)
            loc = (known @ self.maps["x"].T).reshape(n, *self.shape)
            return pyro.sample("x", dist.Normal(loc, self.noise).to_event(len(self.shape)), obs=x)

    def log_evidence(self, x: Tensor) -> Tensor:
        return self.exact.marginal("x").log_prob(x.flatten(1))

    def posterior(self, name: str, error: Error = NONE, **given: Tensor):
        """p(name | given), or one that is wrong by `error`; a Normal where that is exact."""
        loc, cov = self.exact.moments([name], given)
        loc = loc + error.shift
        if len(cov) == 1:
            return dist.Normal(loc, error.width * cov[0].sqrt()).to_event(1)
        return dist.MultivariateNormal(loc, scale_tril=error.width * torch.linalg.cholesky(cov))

    def images(self, n: int = 4) -> Tensor:
        generator = torch.Generator().manual_seed(n)
        return torch.randn(n, *self.shape, generator=generator, dtype=torch.float64) * 1.5

    def _joint(self, total: int) -> JointNormal:
        """Every variable as a map of the independent noises."""
        rows: dict[str, Tensor] = {}
        for name, weight in self.maps.items():
            size, above = weight.shape
            known = torch.cat(list(rows.values())) if rows else torch.zeros(0, total + size)
            noise = torch.zeros(size, total + 3, dtype=torch.float64)
            noise[:, above : above + size] = torch.eye(size, dtype=torch.float64) * (
                self.noise if above else 1.0
            )
            rows[name] = weight @ known.to(noise) + noise if above else noise
        return JointNormal(rows)


class TopDown(Guide):
    """Answers q(z_i | x, z_>i) while the model runs."""

    def __init__(self, model: LinearGaussian, error: Error = NONE) -> None:
        super().__init__(model)
        self.law, self.error = model, error

    def posterior(self, name, prior, h, features):
        sizes = [len(self.law.maps[n]) for n in self.law.latents[: self.law.latents.index(name)]]
        above = dict(zip(self.law.latents, h.split(sizes, dim=1), strict=False)) if sizes else {}
        return self.law.posterior(name, self.error, x=features, **above)


class BottomUp(Guide):
    """Draws z_1 ~ q(z_1 | x) before the model runs, then answers with q(z_2 | x, z_1)."""

    def __init__(self, model: LinearGaussian, error: Error = NONE) -> None:
        super().__init__(model)
        self.law, self.error = model, error

    def bottom_up(self, features):
        with batch_plate():
            z_1 = latent("z_1", self.law.posterior("z_1", self.error, x=features), layer=1)
        return {"x": features, "z_1": z_1}

    def posterior(self, name, prior, h, features):
        return self.law.posterior(name, self.error, **features)


def ordinary(model: LinearGaussian, error: Error = NONE, *, plate=lambda x: batch_plate()):
    """The bottom-up guide as a plain Pyro program."""

    def guide(x):
        known = {"x": x}
        with plate(x):
            for name in reversed(model.latents):
                known[name] = latent(name, model.posterior(name, error, **known), layer=layer_of(name))

    return guide


def with_sized_plate(model: LinearGaussian, error: Error = NONE):
    return ordinary(model, error, plate=lambda x: pyro.plate("batch", len(x), dim=-1))


def one_layer(**options) -> LinearGaussian:
    return LinearGaussian([2], **options)


def two_layers(**options) -> LinearGaussian:
    return LinearGaussian([1, 1], **options)


PAIRS = {
    "one layer, top-down": (one_layer, TopDown),
    "one layer, ordinary": (one_layer, ordinary),
    "one layer of vectors": (lambda: one_layer(image=False), TopDown),
    "two layers, top-down": (two_layers, TopDown),
    "two layers, bottom-up": (two_layers, BottomUp),
    "two layers, ordinary": (two_layers, ordinary),
    "two layers, ordinary with a sized plate": (two_layers, with_sized_plate),
    "two layers of vectors, top-down": (lambda: LinearGaussian([2, 3], image=False), TopDown),
}


class TwoWay(LinearGaussian):
    """BIVA's factorisation at L = 2: p(z_2) p(z_1_bu | z_2) p(z_1_td | z_2) p(x | z).

    Args:
        coupled: whether z_1_bu and z_1_td both act on one pixel. Then they depend on one another given x,
            which q(z_1_td | x, z_2) does not know; otherwise BIVA's factorisation of q is exact.
    """

    latents = ("z_2", "z_1_td", "z_1_bu")

    def __init__(self, *, coupled: bool) -> None:
        Program.__init__(self)
        self.shape, self.noise = IMAGE, 0.7
        acts = [[1.0, 1.5, 0.0], [-0.5, 2.0 * coupled, 1.2], [0.4, -1.0, 0.0]]  # of z_2, z_1_td, z_1_bu
        maps = {"z_2": [[]], "z_1_td": [[0.9]], "z_1_bu": [[-1.1, 0.0]], "x": acts}
        self.maps = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in maps.items()}
        self.exact = self._joint(3)


class BottomUpAndTopDown(Guide):
    """BIVA's q: z_1_bu given x, then z_2 given x and z_1_bu, then z_1_td given only x and z_2."""

    def __init__(self, model: TwoWay) -> None:
        super().__init__(model)
        self.law = model

    def bottom_up(self, features):
        with batch_plate():
            z_bu = latent("z_1_bu", self.law.posterior("z_1_bu", x=features), layer=1)
        return {"x": features, "z_1_bu": z_bu}

    def posterior(self, name, prior, h, features):
        if name == "z_2":
            return self.law.posterior(name, **features)
        return self.law.posterior(name, x=features["x"], z_2=h[:, :1])
