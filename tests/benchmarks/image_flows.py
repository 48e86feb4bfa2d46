"""Glow beside hand-written PyTorch of the same network with the same weights, and an invertible 1x1
convolution beside ``F.conv2d``.

    python -m tests.benchmarks.image_flows

A is one scale of eight steps on 12 x 16 x 16; B has three on 3 x 32 x 32; networks are conv3-conv1-conv3 of
128 channels, batches of 16.
"""

import math

import pyro.distributions as dist
import torch
import torch.nn.functional as F

from distributions import TransformedDistribution
from flows import ActNorm, AffineCoupling, Composed, InvertibleConv, OnChannels, Squeeze
from flows.builders.steps import mixed
from flows.multi_scale import multi_scale
from tests.benchmarks.paired import ratios, table

BATCH, STEPS, HIDDEN = 16, 8, (128, 128)


def main():
    torch.manual_seed(0)
    for name, flow in {"A": size_a(), "B": size_b()}.items():
        x = torch.randn(BATCH, *flow.event_shape)
        flow.train().inverse_and_log_det(x)  # sets the normalisations
        check(flow, x)
        print(f"{name}, {sum(p.numel() for p in flow.parameters()):,} parameters")
        for task in (training_step, score, sample):
            print(task.__name__)
            print(table(ratios(task(flow, x), baseline="hand-written", rounds=7, repeat=1)))
    print("1x1 convolution of 48 channels, forward and backward")
    print(table(ratios(convolutions(), baseline="F.conv2d", rounds=25, repeat=5)))


def size_a():
    shape = (12, 16, 16)
    return Composed([flow for _ in range(STEPS) for flow in mixed(AffineCoupling(shape, hidden=HIDDEN))])


def size_b():
    def steps(shape):
        return [flow for _ in range(STEPS) for flow in mixed(AffineCoupling(shape, hidden=HIDDEN))]

    return multi_scale((3, 32, 32), steps, scales=3)


def density(flow):
    base = dist.Normal(torch.zeros(flow.in_shape), 1.0, validate_args=False).to_event(3)
    return TransformedDistribution(base, [flow], validate_args=False)


def training_step(flow, x):
    d = density(flow)
    return {
        "hand-written": lambda: step(flow, lambda: log_prob(flow, x)),
        "flows": lambda: step(flow, lambda: d.log_prob(x)),
    }


def score(flow, x):
    d = density(flow)
    return {
        "hand-written": torch.no_grad()(lambda: log_prob(flow, x)),
        "flows": torch.no_grad()(lambda: d.log_prob(x)),
    }


def sample(flow, x):
    d = density(flow)
    return {
        "hand-written": torch.no_grad()(lambda: generated(flow, torch.randn_like(x))),
        "flows": torch.no_grad()(lambda: d.sample((BATCH,))),
    }


def step(flow, score):
    flow.zero_grad()
    (-score().mean()).backward()


def log_prob(flow, x):
    """Log density, written out; latents are a list."""
    latents, log_det = encoded(flow, x)
    return log_det + sum(-0.5 * (z.square() + math.log(2 * math.pi)).flatten(1).sum(1) for z in latents)


def encoded(flow, x):
    log_det = 0.0
    for part in reversed(flow.flows):
        if isinstance(part, OnChannels):
            x, z = x.split(part.sizes, dim=1)
            deeper, more = encoded(part.flow, x)
            return [*deeper, z], log_det + more
        part = getattr(part, "original", part)
        if isinstance(part, ActNorm):
            x = (x - part.shift) * torch.exp(-part.log_scale)
            log_det = log_det - x[0, 0].numel() * part.log_scale.sum()
        elif isinstance(part, InvertibleConv):
            x = F.conv2d(x, matrix(part)[..., None, None])
            log_det = log_det + x[0, 0].numel() * part.log_scale.sum()
        elif isinstance(part, AffineCoupling):
            a, b = x.chunk(2, dim=1)
            s, t = network(part.net, a).chunk(2, dim=1)
            s = 3 * torch.tanh(s / 3)
            x, log_det = torch.cat([a, (b - t) * torch.exp(-s)], dim=1), log_det - s.flatten(1).sum(1)
        elif isinstance(part, Squeeze) and x.shape[1:] == part.in_shape:
            x = F.pixel_unshuffle(x, 2)
    return [x], log_det


def generated(flow, x):
    for part in flow.flows:
        turned, part = hasattr(part, "original"), getattr(part, "original", part)
        if isinstance(part, OnChannels):
            a, b = x.split(part.sizes, dim=1)
            x = torch.cat([generated(part.flow, a), b], dim=1)
        elif isinstance(part, ActNorm):
            x = x * part.log_scale.exp() + part.shift
        elif isinstance(part, InvertibleConv):
            x = F.conv2d(x, torch.linalg.inv(matrix(part))[..., None, None])
        elif isinstance(part, AffineCoupling):
            a, b = x.chunk(2, dim=1)
            s, t = network(part.net, a).chunk(2, dim=1)
            x = torch.cat([a, b * torch.exp(3 * torch.tanh(s / 3)) + t], dim=1)
        elif isinstance(part, Squeeze):
            x = F.pixel_shuffle(x, 2) if turned else F.pixel_unshuffle(x, 2)
    return x


def matrix(part):
    triangles = part.triangles * part.gain
    lower = triangles.tril(-1) + torch.eye(len(triangles))
    upper = triangles.triu(1) + torch.diag(part.log_scale.exp())
    return part.rotation @ lower @ upper


def network(net, x):
    first, *others = net.layers
    x = first(x)
    for layer in others:
        x = layer(x.relu())
    return x


def check(flow, x):
    """Both are the same function."""
    with torch.no_grad():
        torch.testing.assert_close(density(flow).log_prob(x), log_prob(flow, x), rtol=1e-5, atol=1e-2)
        torch.testing.assert_close(flow(x), generated(flow, x), rtol=1e-4, atol=1e-3)


def convolutions():
    shape = (48, 16, 16)
    flow, x = InvertibleConv(shape), torch.randn(BATCH, *shape, requires_grad=True)
    weight = torch.randn(48, 48, 1, 1, requires_grad=True)
    return {
        "F.conv2d": lambda: F.conv2d(x, weight).sum().backward(),
        "InvertibleConv": lambda: total(*flow.call_and_log_det(x)).backward(),
        "its inverse": lambda: total(*flow.inverse_and_log_det(x)).backward(),
    }


def total(y, log_det):
    return y.sum() + log_det.sum()


if __name__ == "__main__":
    main()
