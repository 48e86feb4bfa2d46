"""NVAE, VDVAE and IAF-VAE: a training step beside the same networks in plain PyTorch, one thread.

    python -m tests.benchmarks.residual_hierarchies                 # eager, a few minutes
    python -m tests.benchmarks.residual_hierarchies compiled        # and whole losses compiled, some more
    python -m tests.benchmarks.residual_hierarchies bounds nvae_mnist_small      # some of it

The hand-written step runs the very same modules once, draws with ``torch.randn_like`` and writes the normal
densities and divergences out; no Pyro. What spectral regularisation costs is measured as a share of a step,
with one thread as well, and a bound of 100 samples of 16 images beside as many runs of the whole model. Such
a bound runs what depends only on the image once, so that its speed is limited by the rest, whose share of
the multiplications is counted. Samples of NVAE are set beside the same drawn without Pyro.
"""

import sys
from collections.abc import Callable
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import zoo
from tests.benchmarks.hierarchies import report
from tests.benchmarks.paired import paired_seconds
from tests.benchmarks.single_pass import divergence, draw, log_normal
from zoo import ELBO, compile_loss
from zoo.infer.regularised import RegularisedELBO

SYSTEMS = {"nvae_mnist_small": 16, "vdvae_mnist_small": 16, "iaf_vae_mnist_small": 16}
PARTS = ["steps", "spectral", "bounds", "samples"]


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    zoo.tune_process()
    pyro.enable_validation(False)
    parts = [part for part in PARTS if part in sys.argv] or PARTS
    names = [name for name in SYSTEMS if name in sys.argv] or list(SYSTEMS)
    for name in names if "steps" in parts else []:
        steps(name, SYSTEMS[name], compiled="compiled" in sys.argv)
    if "spectral" in parts:
        spectral("nvae_mnist_small", 16)
    for name in names if "bounds" in parts else []:
        bounds(name, k=100, whole=3)
    if "samples" in parts:
        samples("nvae_mnist_small", 16)


def steps(name: str, batch: int, *, compiled: bool) -> None:
    """Forward and backward, without regularisation."""
    model, guide, x = built(name, batch)
    ours = ELBO()(model, guide)
    check(model, guide, x)
    timed: dict[str, Callable[[], object]] = {
        "hand-written": lambda: raw_loss(model, guide, x).backward(),
        "zoo": lambda: ours(x).backward(),
    }
    if compiled:
        whole = compile_loss(ELBO()(model, guide), x)
        timed["zoo, whole loss compiled"] = lambda: whole(x).backward()
    seconds = paired_seconds(timed, rounds=7, repeat=1)
    report(f"{name}, training step of {batch} images", seconds, "hand-written")


def spectral(name: str, batch: int) -> None:
    """A step with spectral regularisation beside one without."""
    model, guide, x = built(name, batch)
    plain, regularised = ELBO()(model, guide), RegularisedELBO()(model, guide)
    timed = {
        "without": lambda: plain(x).backward(),
        "with spectral regularisation": lambda: regularised(x).backward(),
    }
    report(f"{name}, training step of {batch} images", paired_seconds(timed, rounds=7, repeat=1), "without")


def bounds(name: str, *, k: int, whole: int) -> None:
    """The bound of k samples of 16 images; `whole` runs of the whole model, scaled to k of them."""
    model, guide, x = built(name, 16)
    loss = ELBO()(model, guide).eval()
    timed = {
        "zoo": lambda: zoo.log_weights(model, guide, x, k),
        f"{k} runs": torch.no_grad()(lambda: [loss(x) for _ in range(whole)]),
    }
    seconds = paired_seconds(timed, rounds=1, repeat=1)
    seconds[f"{k} runs"] = [t * k / whole for t in seconds[f"{k} runs"]]
    report(f"{name}, bound of {k} samples of 16 images", seconds, "zoo")
    shared = multiplications(lambda: guide.encode(x)) / multiplications(lambda: loss(x))
    print(f"\nof the image only: {shared:.2f} of the multiplications; at most {1 / (1 - shared):.2f} as fast")


def samples(name: str, n: int) -> None:
    """Images drawn from NVAE."""
    model = built(name, n)[0].eval()
    timed = {"hand-written": lambda: raw_samples(model, n), "zoo": lambda: zoo.sample(model, n)}
    report(f"{name}, {n} samples", paired_seconds(timed, rounds=15, repeat=1), "hand-written")


def multiplications(run: Callable[[], object]) -> int:
    """Of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def built(name: str, batch: int) -> tuple[Any, Any, Tensor]:
    """Model and guide in training mode, and random binary images."""
    torch.manual_seed(0)
    system = zoo.build(name)
    return system.model, system.guide, torch.rand(batch, 1, 28, 28).round()


def check(model: Any, guide: Any, x: Tensor) -> None:
    """Both are the same estimate: equal loss for equal noise."""
    torch.manual_seed(1)
    expected = ELBO()(model, guide)(x)
    torch.manual_seed(1)
    torch.testing.assert_close(raw_loss(model, guide, x), expected)


def raw_loss(model: Any, guide: Any, x: Tensor) -> Tensor:
    """Minus the ELBO, mean nats an image, in one pass without Pyro."""
    h, kl = PASSES[type(model).__name__](model, guide, guide.path(x), len(x))
    logits = model.likelihood.net(h)
    nll = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    return (nll + kl).mean()


def nvae_pass(model: Any, guide: Any, features: list[Tensor], n: int) -> tuple[Tensor, Any]:
    """The last state and the KL."""
    h, kl = model.start(n), 0.0
    for layer, posterior, d in reversed(list(zip(model.layers, guide.posteriors, features, strict=True))):
        h = layer.cells(h)
        d = d if posterior.merge is None else d + posterior.merge(h)
        delta, delta_log = (5 * torch.tanh(posterior.head(d) / 5)).chunk(2, dim=1)
        if layer.head is None:
            loc, log_scale = torch.zeros_like(delta), torch.zeros_like(delta)
        else:
            loc, log_scale = (5 * torch.tanh(layer.head(h) / 5)).chunk(2, dim=1)
        scale = log_scale.exp()
        relative = (delta / scale).square() + torch.expm1(2 * delta_log) - 2 * delta_log
        kl = kl + 0.5 * relative.sum((1, 2, 3))
        z = draw(loc + delta, scale * delta_log.exp())
        h = layer.grow(layer.combine(torch.cat([h, z], dim=1)))
    return h, kl


@torch.no_grad()
def raw_samples(model: Any, n: int) -> Tensor:
    """Images drawn from NVAE without Pyro."""
    h = model.start(n)
    for layer in reversed(model.layers):
        h = layer.cells(h)
        if layer.head is None:
            z = torch.randn(n, *layer.event_shape)
        else:
            loc, log_scale = (5 * torch.tanh(layer.head(h) / 5)).chunk(2, dim=1)
            z = draw(loc, log_scale.exp())
        h = layer.grow(layer.combine(torch.cat([h, z], dim=1)))
    return torch.bernoulli(torch.sigmoid(model.likelihood.net(h)))


def vdvae_pass(model: Any, guide: Any, features: list[Tensor], n: int) -> tuple[Tensor, Any]:
    """The last state and the KL."""
    h, kl = model.start(n), 0.0
    ladder = list(zip(model.layers, guide.posteriors, guide.sources, strict=True))
    for layer, posterior, source in reversed(ladder):
        if layer.grows > 1:
            h = F.interpolate(h, scale_factor=layer.grows)
        if layer.constant is not None:
            h = h + layer.constant(n)
        loc, raw, r = layer.parameters_of(h).split(layer.sizes, dim=1)
        q_loc, q_raw = posterior.net(torch.cat([h, features[source]], dim=1)).chunk(2, dim=1)
        scale, q_scale = ((10 * torch.tanh(s / 10)).exp() for s in (raw, q_raw))
        kl = kl + divergence(*(t.flatten(1) for t in (q_loc, q_scale, loc, scale)))
        h = h + r + layer.project(draw(q_loc, q_scale))
        h = h + layer.resnet(h)
    return h, kl


def iaf_vae_pass(model: Any, guide: Any, features: list[list[Tensor]], n: int) -> tuple[Tensor, Any]:
    """The last state and the KL, by Monte Carlo."""
    h, kl = model.start(n), 0.0
    for layer, posterior, up in reversed(list(zip(model.layers, guide.posteriors, features, strict=True))):
        loc, raw, *down, v = layer.first(F.elu(h)).split(layer.sizes, dim=1)
        q_loc, q_raw, context = (a + b for a, b in zip(up, down, strict=True))
        scale, q_scale = ((10 * torch.tanh(s / 10)).exp() for s in (raw, q_raw))
        z = draw(q_loc, q_scale)
        kl = kl + log_normal(*(t.flatten(1) for t in (z, q_loc, q_scale)))
        for flow in posterior.flows:
            z, log_slopes = flow.call_and_log_slopes(z, context)
            kl = kl - log_slopes.sum((1, 2, 3))
        kl = kl - log_normal(*(t.flatten(1) for t in (z, loc, scale)))
        h = layer.update((h, v), z)
    return h, kl


PASSES = {"NVAE": nvae_pass, "VDVAE": vdvae_pass, "IAFVAE": iaf_vae_pass}

if __name__ == "__main__":
    main()
