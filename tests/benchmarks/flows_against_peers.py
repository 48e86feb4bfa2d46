"""Flows of vectors beside the same flows of pyro, zuko, nflows and normflows.

    python -m tests.benchmarks.flows_against_peers     (pip install '.[bench]')

64 features, batches of 512, five layers, two hidden layers of 256, float32, one thread. The networks have
equal numbers of parameters, which are printed. Ours are used through `distributions.TransformedDistribution`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import normflows
import pyro.distributions as dist
import torch
import zuko
from nflows import distributions, transforms
from nflows import flows as nflows_flows
from pyro.distributions import transforms as pyro_transforms
from torch import Tensor, nn

from distributions import TransformedDistribution, rsample_and_log_prob
from flows import AffineCoupling
from flows.builders import iaf, maf
from tests.benchmarks.paired import ratios, table

D, BATCH, LAYERS, HIDDEN = 64, 512, 5, (256, 256)


class Peer(NamedTuple):
    """A flow of some library: its parameters, log p(x) and n samples."""

    parameters: list[Tensor]
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    rsample_and_log_prob: Callable[[int], tuple[Tensor, Tensor]] | None = None


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    x = torch.randn(BATCH, D)
    for name, peers in (("RealNVP", real_nvps()), ("MAF", mafs())):
        report(f"{name}, training step", {key: training_step(p, x) for key, p in peers.items()}, peers)
        report(f"{name}, log_prob", {key: scoring(p, x) for key, p in peers.items()}, peers)
        slow = name == "MAF"
        rounds = 3 if slow else 15
        report(f"{name}, sample", {key: sampling(p) for key, p in peers.items()}, peers, rounds=rounds)
    peers = iafs()
    report("IAF, sample and score", {key: posterior_step(p) for key, p in peers.items()}, peers)
    report("IAF, log_prob", {key: scoring(p, x) for key, p in peers.items()}, peers, rounds=3)


def report(
    title: str, steps: dict[str, Callable[[], object]], peers: dict[str, Peer], *, rounds: int = 15
) -> None:
    """A table of one comparison."""
    counts = {key: sum(p.numel() for p in peer.parameters) for key, peer in peers.items()}
    repeat = 1 if rounds < 15 else 2
    print(f"\n{title}; parameters {counts}\n")
    print(table(ratios(steps, baseline="ours", rounds=rounds, repeat=repeat)), flush=True)


def training_step(peer: Peer, x: Tensor) -> Callable[[], None]:
    """Forward and backward of -log p(x)."""

    def step() -> None:
        for parameter in peer.parameters:
            parameter.grad = None
        (-peer.log_prob(x).mean()).backward()

    return step


def posterior_step(peer: Peer) -> Callable[[], None]:
    """Forward and backward of log q of a sample of q and of the sample."""

    def step() -> None:
        for parameter in peer.parameters:
            parameter.grad = None
        y, log_prob = peer.rsample_and_log_prob(BATCH)  # type: ignore[misc]
        (log_prob.mean() + y.square().mean()).backward()

    return step


def scoring(peer: Peer, x: Tensor) -> Callable[[], Tensor]:
    """log p(x) without gradients."""
    return torch.no_grad()(lambda: peer.log_prob(x))


def sampling(peer: Peer) -> Callable[[], Tensor]:
    """Samples without gradients."""
    return torch.no_grad()(lambda: peer.sample(BATCH))


def real_nvps() -> dict[str, Peer]:
    """Five affine couplings, the halves in turn."""
    ours = [AffineCoupling(D, hidden=HIDDEN, flip=bool(i % 2)) for i in range(LAYERS)]
    pyros = [pyro_transforms.affine_coupling(D, hidden_dims=list(HIDDEN)) for _ in range(LAYERS)]
    widths = [D // 2, *HIDDEN, D]
    blocks = [
        block
        for _ in range(LAYERS)
        for block in (
            normflows.flows.AffineCouplingBlock(normflows.nets.MLP(widths, init_zeros=True)),
            normflows.flows.Permute(D, mode="swap"),
        )
    ]
    return {
        "ours": of_transforms(ours),
        "pyro": of_pyro(pyros),
        "zuko": of_zuko(zuko.flows.RealNVP(D, transforms=LAYERS, hidden_features=HIDDEN)),
        "nflows": of_nflows([_nflows_coupling(i) for i in range(LAYERS)]),
        "normflows": of_normflows(blocks),
    }


def mafs() -> dict[str, Peer]:
    """Five masked autoregressive flows, the order reversed in between."""
    pyros = [pyro_transforms.affine_autoregressive(D, hidden_dims=list(HIDDEN)).inv for _ in range(LAYERS)]
    return {
        "ours": of_transforms([maf(D, layers=LAYERS, hidden=HIDDEN)]),
        "pyro": of_pyro(pyros),
        "zuko": of_zuko(zuko.flows.MAF(D, transforms=LAYERS, hidden_features=HIDDEN)),
    }


def iafs() -> dict[str, Peer]:
    """The same networks the other way round."""
    pyros = [pyro_transforms.affine_autoregressive(D, hidden_dims=list(HIDDEN)) for _ in range(LAYERS)]
    of_maf = zuko.flows.MAF(D, transforms=LAYERS, hidden_features=HIDDEN)
    inverse = zuko.flows.Flow(of_maf.transform.inv, of_maf.base)
    return {
        "ours": of_transforms([iaf(D, layers=LAYERS, hidden=HIDDEN)]),
        "pyro": of_pyro(pyros),
        "zuko": of_zuko(inverse),
    }


def base() -> Any:
    """A standard normal."""
    return dist.Normal(torch.zeros(D), 1.0).to_event(1)


def of_transforms(flows: list[Any]) -> Peer:
    """Ours, as any transforms."""
    p = TransformedDistribution(base(), flows)
    return Peer(
        list(nn.ModuleList(flows).parameters()),
        p.log_prob,
        lambda n: p.sample((n,)),
        lambda n: rsample_and_log_prob(p, (n,)),
    )


def of_pyro(transforms: list[Any]) -> Peer:
    """Pyro's, with its caches cleared before each batch, as training on the same tensor needs it."""
    reverse = pyro_transforms.Permute(torch.arange(D).flip(0))
    p = dist.TransformedDistribution(base(), [t for layer in transforms for t in (layer, reverse)])
    modules = nn.ModuleList(t if isinstance(t, nn.Module) else t.inv for t in transforms)

    def log_prob(x: Tensor) -> Tensor:
        p.clear_cache()
        return p.log_prob(x)

    return Peer(list(modules.parameters()), log_prob, lambda n: p.sample((n,)), _both(p))


def of_zuko(flow: Any) -> Peer:
    """Zuko's, whose distribution is made at each call."""
    return Peer(
        list(flow.parameters()),
        lambda x: flow().log_prob(x),
        lambda n: flow().sample((n,)),
        lambda n: flow().rsample_and_log_prob((n,)),
    )


def of_nflows(layers: list[Any]) -> Peer:
    """Of nflows."""
    flow = nflows_flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([D]))
    return Peer(list(flow.parameters()), flow.log_prob, flow.sample)


def of_normflows(blocks: list[Any]) -> Peer:
    """Of normflows."""
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(D, trainable=False), blocks)
    return Peer(list(flow.parameters()), flow.log_prob, lambda n: flow.sample(n)[0])


def _both(p: Any) -> Callable[[int], tuple[Tensor, Tensor]]:
    def rsample_and_log_prob(n: int) -> tuple[Tensor, Tensor]:
        y = p.rsample((n,))
        return y, p.log_prob(y)

    return rsample_and_log_prob


class _ForNflows(normflows.nets.MLP):
    """Nflows calls its networks with a context."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x)


def _nflows_coupling(i: int) -> Any:
    mask = torch.ones(D)
    mask[: D // 2] = -1
    return transforms.AffineCouplingTransform(
        mask if i % 2 else -mask, lambda inputs, outputs: _ForNflows([inputs, *HIDDEN, outputs])
    )


if __name__ == "__main__":
    main()
