"""A training step (forward and backward) of a three-layer BIVA beside the same step in hand-written PyTorch.

    python -m tests.benchmarks.single_pass

The hand-written step runs the very same networks once, draws with ``torch.randn_like`` and writes out the
normal densities and KL divergences; no Pyro. Pyro's own ``Trace_ELBO`` on the same model and guide runs the
decoder twice.
"""

import copy
import math
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.infer import Trace_ELBO
from torch import Tensor

from tests.benchmarks.paired import ratios, table
from zoo import ELBO, compile_loss
from zoo.models.biva import Stage, biva
from zoo.models.hierarchy import downward

STAGES = [
    Stage(16, filters=12, stride=2, blocks=2),
    Stage(8, filters=12, stride=2, blocks=2),
    Stage(4, filters=12, stride=1, blocks=2),
]
BATCH = 24


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    model, guide = biva((1, 28, 28), STAGES)
    x = torch.rand(BATCH, 1, 28, 28).round()
    pyro.enable_validation(False)
    ours, naive = ELBO()(model, guide), Trace_ELBO()(model, guide)
    check(model, guide, x)
    compiled = compile_loss(copy.deepcopy(ours), x)
    steps = {
        "hand-written, eager": lambda: raw_loss(model, guide, x).backward(),
        "zoo, eager": lambda: ours(x).backward(),
        "zoo, whole loss compiled": lambda: compiled(x).backward(),
        "Pyro's Trace_ELBO, eager": lambda: naive(x).backward(),
    }
    print(table(ratios(steps, baseline="hand-written, eager")))


def check(model: Any, guide: Any, x: Tensor) -> None:
    """Both are the same estimate: equal loss for equal noise."""
    torch.manual_seed(1)
    expected = ELBO()(model, guide)(x)
    torch.manual_seed(1)
    torch.testing.assert_close(raw_loss(model, guide, x), expected)


def raw_loss(model: Any, guide: Any, x: Tensor) -> Tensor:
    """Minus the ELBO of BIVA, mean nats an image, in one pass without Pyro."""
    d_bu, d_td = guide.layers[0](x, x, None)
    z_bu, log_q, known = {}, {}, {1: d_td}
    for i, (layer, above) in enumerate(zip(guide.layers, guide.layers[1:], strict=False), 1):
        q = moments(layer.posterior_bu, d_bu)
        z_bu[i] = draw(*q)
        log_q[i] = log_normal(z_bu[i], *q)
        d_bu, d_td = above(z_bu[i], d_td, torch.cat([d_bu, d_td], dim=1))
        known[i + 1] = d_td
    loc, scale = moments(guide.top, torch.cat([d_bu, d_td], dim=1))
    kl = (0.5 * (scale.square() + loc.square() - 1) - scale.log()).sum(1)
    d = model.top(draw(loc, scale), None)
    for i, layer in downward(model.layers):
        h, inference = d[-1], guide.layers[i - 1]
        q = moments(inference.posterior_td, inference.merge(known[i], h))
        kl = kl + divergence(*q, *moments(dict(layer.variables())["_td"], h))
        kl = kl + log_q[i] - log_normal(z_bu[i], *moments(dict(layer.variables())["_bu"], h))
        d = layer.decode(torch.cat([draw(*q), z_bu[i]], dim=1), d)
    logits = model.likelihood.project(model.likelihood.net(d[-1]))
    nll = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    return (nll + kl).mean()


def moments(head: Any, h: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation that a head gives."""
    loc, raw = head.encode(h).chunk(2, dim=1)
    return loc, head.scale(raw)


def draw(loc: Tensor, scale: Tensor) -> Tensor:
    """A sample of N(loc, scale^2)."""
    return loc + scale * torch.randn_like(loc)


def log_normal(z: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """log N(z; loc, scale^2), (B,)."""
    return (-0.5 * ((z - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)).sum(1)


def divergence(loc: Tensor, scale: Tensor, prior_loc: Tensor, prior_scale: Tensor) -> Tensor:
    """KL(N(loc, scale^2) || N(prior_loc, prior_scale^2)), (B,)."""
    ratio, offset = (scale / prior_scale).square(), ((loc - prior_loc) / prior_scale).square()
    return 0.5 * (ratio + offset - 1 - ratio.log()).sum(1)


if __name__ == "__main__":
    main()
