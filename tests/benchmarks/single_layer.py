"""Steps of the single-layer systems beside the same written out in plain PyTorch.

    python -m tests.benchmarks.single_layer            # iwae, vamp, leapfrog; with and without denormals

A training step is forward, backward and Adam. Images are 28x28, binary, of noise. Interleaved rounds, one
thread, CPU time (`paired.py`).
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from tests.benchmarks.paired import ratios, table
from zoo.infer.annealing import Path
from zoo.infer.hmc import leapfrog
from zoo.models.iwae import iwae
from zoo.models.vae import VAE
from zoo.models.vamp_vae import vamp_vae
from zoo.parts.priors import StandardNormal

MNIST, BATCH, LOG_2_PI = (1, 28, 28), 100, math.log(2 * math.pi)


def main() -> None:
    """Measure and print."""
    zoo.tune_process()
    for flush in (True, False):
        torch.set_flush_denormal(flush)
        print(f"\ndenormals {'flushed' if flush else 'kept'}", flush=True)
        for name in sys.argv[1:] or MEASURED:
            steps, baseline = MEASURED[name]()
            print(f"\n{name}\n\n{table(ratios(steps, baseline=baseline))}", flush=True)


def images() -> Tensor:
    """A batch of binary images."""
    return (torch.rand(BATCH, *MNIST, generator=torch.Generator().manual_seed(0)) < 0.3).float()


def training(loss: Callable[[Tensor], Tensor], parameters: Any) -> Callable[[], object]:
    """A step of training."""
    adam, x = torch.optim.Adam(list(parameters), lr=1e-4, fused=True), images()

    def step() -> None:
        with pyro.validation_enabled(False):
            adam.zero_grad()
            loss(x).backward()
            adam.step()

    return step


class PlainIWAE(nn.Module):
    """IWAE's networks and bound, K samples folded into the batch; or, looped, sample by sample."""

    def __init__(self, k: int, *, looped: bool = False) -> None:
        super().__init__()
        self.k, self.looped = k, looped
        self.encoder = nn.Sequential(*_tanh(784), nn.Linear(200, 100))
        self.decoder = nn.Sequential(*_tanh(50), nn.Linear(200, 784))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the bound."""
        flat = x.flatten(1)
        loc, log_scale = self.encoder(flat).chunk(2, dim=1)
        if self.looped:
            log_w = torch.cat([self.log_weights(flat, loc, log_scale, 1) for _ in range(self.k)])
        else:
            log_w = self.log_weights(flat, loc, log_scale, self.k)
        return math.log(self.k) - log_w.logsumexp(0).mean()

    def log_weights(self, flat: Tensor, loc: Tensor, log_scale: Tensor, k: int) -> Tensor:
        """Log w of k samples, (k, B)."""
        noise = torch.randn(k, *loc.shape)
        z = loc + log_scale.exp() * noise
        logits = self.decoder(z.flatten(0, 1))
        target = flat.repeat(k, 1)
        log_x = -F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1)
        log_z = -0.5 * z.square() + 0.5 * noise.square() + log_scale  # log p(z) - log q(z | x)
        return log_x.view(k, -1) + log_z.sum(-1)


def _tanh(width: int) -> list[nn.Module]:
    return [nn.Linear(width, 200), nn.Tanh(), nn.Linear(200, 200), nn.Tanh()]


def iwae_steps() -> tuple[dict[str, Callable[[], object]], str]:
    """K = 50 on 100 images."""
    torch.manual_seed(0)
    ours = zoo.ImportanceWeighted(50)(*iwae(MNIST))
    folded, looped = PlainIWAE(50), PlainIWAE(50, looped=True)
    steps = {
        "plain, folded": training(folded, folded.parameters()),
        "ours": training(ours, ours.parameters()),
        "plain, a loop over samples": training(looped, looped.parameters()),
    }
    return steps, "plain, folded"


def vamp_steps() -> tuple[dict[str, Callable[[], object]], str]:
    """VampPrior of 500 pseudo-inputs against the standard prior's step and 500 images through the encoder."""
    torch.manual_seed(0)
    model, guide = vamp_vae(MNIST)
    standard = VAE(StandardNormal(40), model.likelihood)
    ours, plain = (zoo.ELBO()(m, guide) for m in (model, standard))
    pseudo = model.prior.pseudo_inputs.detach().clone().requires_grad_()

    def and_encoder(x: Tensor) -> Tensor:
        return plain(x) + sum(t.sum() for t in guide.head.encode(pseudo).chunk(2, 1))

    steps = {
        "standard prior": training(plain, plain.parameters()),
        "standard prior and 500 images encoded": training(and_encoder, [*plain.parameters(), pseudo]),
        "VampPrior": training(ours, ours.parameters()),
    }
    return steps, "standard prior and 500 images encoded"


def leapfrog_steps() -> tuple[dict[str, Callable[[], object]], str]:
    """Ten kicks of 16 chains on 40 images, as many as run at once, of the posterior of IWAE's decoder."""
    torch.manual_seed(0)
    model, _ = iwae(MNIST)
    x, chains = images()[:40], 16
    path = Path(model, None, x, chains)
    state, target = path.start(), x.flatten(1).repeat(chains, 1)
    v = torch.randn_like(state.u)
    decoder = nn.Sequential(model.likelihood.net, model.likelihood.project)

    def gradient(u: Tensor, beta: float = 0.5) -> Tensor:
        u = u.detach().requires_grad_()
        logits = decoder(u).flatten(1)
        log_x = -F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1).double()
        log_z = (-0.5 * u.square() - 0.5 * LOG_2_PI).sum(1).double()
        return torch.autograd.grad((log_z + beta * log_x).sum(), u)[0]

    def by_hand() -> Tensor:
        u, w = state.u + 0.005 * v, v
        for kick in range(10):
            w = w + 0.01 * gradient(u)
            u = u + (0.01 if kick < 9 else 0.005) * w
        return u

    def ours() -> Tensor:
        with pyro.validation_enabled(False):
            return leapfrog(lambda u: path.gradient(u, 0.5), state.u, v, 0.01, 10)[0]

    torch.testing.assert_close(ours(), by_hand())
    return {"by hand": by_hand, "ours": ours}, "by hand"


MEASURED = {"iwae": iwae_steps, "vamp": vamp_steps, "leapfrog": leapfrog_steps}

if __name__ == "__main__":
    main()
