"""Samples of causal networks: pixel after pixel from a memory, beside whole passes; and the cost of training.

    python -m tests.benchmarks.causal_sampling

One thread, CPU seconds. A naive sample takes a pass a site; its time is the median of some passes, timed
around the cached sample, times the number of sites, and whole naive samples of small images show that this is
what it takes. At best naive / cached is the number of sites, as one cached sample does the arithmetic of one
pass. The networks are untrained: pixels depend on each other little, and fixed points are found in fewer
passes than those of trained networks.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
import torch.nn.functional as F

from distributions import Autoregressive
from distributions.ancestral import ancestral, fixed_point
from tests.benchmarks.paired import ratios, table
from zoo.nn.causal import GatedPixelCNN, PixelCNN, PixelCNNpp, initialise
from zoo.parts.families import Bernoullis, Categoricals, LogisticMixtures

PASSES = 5
IMAGES = 16


@dataclass
class Subject:
    """A network with its distribution."""

    name: str
    network: Any
    family: Any

    def p(self, sampler: Any = None) -> Autoregressive:
        return Autoregressive(self.network, self.family, sampler=sampler)

    @property
    def sites(self) -> int:
        return int(self.network.sites.max()) + 1


def pixelcnn(shape: tuple[int, int, int]) -> Subject:
    """15 blocks, h = 16."""
    family, groups = softmax(shape)
    network = PixelCNN(shape, family.size, channels=16, blocks=15, head=32, groups=groups)
    return ready("PixelCNN", network, family)


def gated(shape: tuple[int, int, int]) -> Subject:
    """10 layers of 32 channels."""
    family, groups = softmax(shape)
    network = GatedPixelCNN(shape, family.size, groups=groups)
    return ready("GatedPixelCNN", network, family)


def pixelcnnpp(shape: tuple[int, int, int], *, channels: int = 32, resnets: int = 1) -> Subject:
    """32 channels, one block."""
    family = Bernoullis(1) if shape[0] == 1 else LogisticMixtures(3)
    network = PixelCNNpp(shape, family.size, channels=channels, resnets=resnets)
    initialise(network, 2 * torch.rand(4, *shape) - 1)
    return ready(f"PixelCNN++ {channels} x {resnets}", network, family)


def softmax(shape: tuple[int, int, int]) -> tuple[Any, int]:
    """The family, and how many groups of channels are drawn one after the other."""
    return (Bernoullis(1), 1) if shape[0] == 1 else (Categoricals(3), 3)


def ready(name: str, network: Any, family: Any) -> Subject:
    return Subject(name, network.eval(), family)


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@torch.no_grad()
def naive_and_cached(subject: Subject, n: int) -> tuple[float, float, float]:
    """Seconds of a pass, of n naive samples, of n cached ones."""
    x = torch.zeros(n, *subject.network.event_shape)

    def passes() -> list[float]:
        return [seconds(lambda: subject.family(subject.network(x))) for _ in range(PASSES)]

    passes()
    before = passes()
    cached = seconds(lambda: subject.p().sample((n,)))
    one = statistics.median(before + passes())
    return one, one * subject.sites, cached


def counted_fixed_point(subject: Subject, n: int) -> tuple[int, float]:
    """Passes of n samples by fixed point, and seconds."""
    calls: list[None] = []
    hook = subject.network.register_forward_hook(lambda *_: calls.append(None))
    took = seconds(lambda: subject.p(fixed_point).sample((n,)))
    hook.remove()
    return len(calls) - 1, took  # the first call only asks how much noise there is


def compare(subjects: Iterable[tuple[Subject, bool]]) -> str:
    """16 images by every way."""
    lines = [
        "| network | image | sites | pass s | naive s | cached s | ratio | of the bound | fixed point |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for subject, with_fixed_point in subjects:
        one, naive, cached = naive_and_cached(subject, IMAGES)
        passes = "-"
        if with_fixed_point:
            count, took = counted_fixed_point(subject, IMAGES)
            passes = f"{count} passes, {took:.1f} s"
        size, ratio = "x".join(map(str, subject.network.event_shape)), naive / cached
        lines.append(
            f"| {subject.name} | {size} | {subject.sites} | {one:.3f} | {naive:.0f} | {cached:.2f} "
            f"| {ratio:.0f} | {ratio / subject.sites:.0%} | {passes} |"
        )
    return "\n".join(lines)


def curve(make: Callable[[tuple[int, int, int]], Subject]) -> str:
    """naive / cached, and cached seconds, over batch and image sizes."""
    batches, lines = (1, 4, 16, 64), []
    for side in (8, 16, 28):
        subject = make((1, side, side))
        cells = []
        for n in batches:
            _, naive, cached = naive_and_cached(subject, n)
            cells.append(f"{naive / cached:.0f} ({cached:.2f})")
        lines.append(f"| {side}x{side} | {' | '.join(cells)} |")
    head = [
        f"| {subject.name} | {' | '.join(f'n = {n}' for n in batches)} |",
        "|---" * (len(batches) + 1) + "|",
    ]
    return "\n".join(head + lines)


def verified(make: Callable[[tuple[int, int, int]], Subject]) -> str:
    """Whole naive samples of 4 images 10x10: seconds, those predicted, whether they equal the cached."""
    subject = make((1, 10, 10))
    _, predicted, _ = naive_and_cached(subject, 4)
    naive = seconds(lambda: subject.p(ancestral).sample((4,)))
    subject.network.double()
    samples = []
    for sampler in (ancestral, None):
        torch.manual_seed(0)
        samples.append(subject.p(sampler).sample((4,)))
    return f"| {subject.name} | {naive:.2f} | {predicted:.2f} | {torch.equal(*samples)} |"


def training(subject: Subject, plain: Callable[..., Any]) -> str:
    """A training step beside the same one in plain PyTorch."""
    x, network = torch.rand(IMAGES, *subject.network.event_shape).round(), subject.network.train()
    torch.testing.assert_close(network(x), plain(network, x))

    def step(features: Callable[..., Any]) -> None:
        network.zero_grad()
        F.binary_cross_entropy_with_logits(features(x), x).backward()

    def ours() -> None:
        network.zero_grad()
        (-subject.p().log_prob(x).mean()).backward()

    steps = {
        f"{subject.name}, plain": lambda: step(lambda x: plain(network, x)),
        f"{subject.name}, network": lambda: step(network),
        f"{subject.name}, Autoregressive.log_prob": ours,
    }
    return table(ratios(steps, baseline=f"{subject.name}, plain", rounds=7, repeat=2))


def plain_pixelcnn(net: Any, x: Any) -> Any:
    """`PixelCNN` of one group of channels, written out."""
    h = window(x, net.first.weight * net.first.mask, net.first.bias, 3, 3, 3)
    for block in net.layers:
        u = F.conv2d(h.relu(), block.narrow.weight, block.narrow.bias)
        u = window(u.relu(), block.conv.weight * block.conv.mask, block.conv.bias, 1, 1, 1)
        h = h + F.conv2d(u.relu(), block.widen.weight, block.widen.bias)
    h = F.conv2d(h.relu(), net.head.weight, net.head.bias)
    return F.conv2d(h.relu(), net.last.weight, net.last.bias)


def plain_gated(net: Any, x: Any) -> Any:
    """`GatedPixelCNN` of one group of channels, written out."""
    v = h = x
    for layer in net.layers:
        v, h = plain_layer(layer, v, h)
    h = F.conv2d(h.relu(), net.head.weight, net.head.bias)
    return F.conv2d(h.relu(), net.last.weight, net.last.bias)


def plain_layer(layer: Any, v: Any, h: Any) -> tuple[Any, Any]:
    """The next v and h."""
    side = 3 if layer.first else 1
    if layer.first:
        above = window(v[..., :-1, :], layer.conv_v.weight, layer.conv_v.bias, side + 1, side, side)
    else:
        above = window(v, layer.conv_v.weight, layer.conv_v.bias, side, side, side)
    u = window(h, layer.conv_h.weight * layer.conv_h.mask, layer.conv_h.bias, 0, side, 0)
    a, b = (u + layer.link(above)).chunk(2, dim=1)
    u = F.conv2d(a.tanh() * b.sigmoid(), layer.out.weight, layer.out.bias)
    a, b = above.chunk(2, dim=1)
    return a.tanh() * b.sigmoid(), (u if layer.first else h + u)


def window(x: Any, weight: Any, bias: Any, top: int, left: int, right: int) -> Any:
    """A padded convolution."""
    return F.conv2d(F.pad(x, (left, right, top, 0)), weight, bias)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pyro.enable_validation(False)
    grey, colour = (1, 28, 28), (3, 32, 32)
    makes = [pixelcnn, gated, pixelcnnpp]
    print(f"{IMAGES} images\n", flush=True)
    subjects = [(make(shape), True) for shape in (grey, colour) for make in makes]
    print(compare([*subjects, (pixelcnnpp(colour, channels=64, resnets=3), False)]), flush=True)
    print("\nWhole naive samples, 4 images 10x10\n")
    print("| network | naive s | predicted s | equal to cached |\n|---|---|---|---|")
    for make in makes:
        print(verified(make), flush=True)
    print("\nTraining steps, 16 images 28x28\n")
    print(training(pixelcnn(grey), plain_pixelcnn))
    print(training(gated(grey), plain_gated), flush=True)
    print("\nnaive / cached (cached seconds) over batch and image sizes\n")
    for make in makes:
        print(curve(make) + "\n", flush=True)


if __name__ == "__main__":
    main()
