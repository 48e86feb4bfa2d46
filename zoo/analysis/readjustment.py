"""Batch normalisation for samples: running statistics of what the model sees when it samples.

In training the model sees latents of the posterior. Samples at a low temperature are unlike these, so NVAE
takes the statistics anew from samples at that temperature (Vahdat & Kautz 2020, arXiv:2007.03898, section 4).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.analysis.sampling import Tempered
from zoo.errors import UsageError
from zoo.infer.programs import evaluating


@contextmanager
def readjusted(
    model: Any, *, temperature: float | Mapping[int, float] = 1.0, batches: int = 100, n: int = 16
) -> Iterator[None]:
    """While this is entered, the running statistics are those of samples; then they are what they were.

        with readjusted(model, temperature=0.7):
            x = zoo.sample(model, 64, temperature=0.7)

    Each statistic is the mean over the batches. One that is not finite stays as it was. Parameters and the
    guide are not touched.

    Args:
        model: an nn.Module, called with ``n=n``; one without batch normalisation stays as it is.
        temperature: as of `zoo.sample`.
        batches: of samples; the published code takes 500.
        n: samples a batch, at least 2.

    Raises:
        UsageError: with fewer than 1 batch or 2 samples.
    """
    if batches < 1 or n < 2:
        raise UsageError(f"expected at least 1 batch of at least 2 samples; got {batches} of {n}")
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept = [_statistics(layer) for layer in layers]
    try:
        if layers:
            _accumulate(model, layers, temperature, batches, n)
            for layer, old in zip(layers, kept, strict=True):
                _keep_finite(layer, old)
        yield
    finally:
        for layer, old in zip(layers, kept, strict=True):
            for name, value in old.items():
                getattr(layer, name).copy_(value)


@torch.no_grad()
def _accumulate(model: Any, layers: list[Any], temperature: Any, batches: int, n: int) -> None:
    """Set the running statistics to their means over batches of samples."""
    momenta = [layer.momentum for layer in layers]
    try:
        with evaluating(model), Tempered(temperature):
            for layer in layers:
                layer.training, layer.momentum = True, None  # None: the mean over all batches
                layer.num_batches_tracked.zero_()
            for _ in range(batches):
                model(n=n)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.training, layer.momentum = model.training, momentum


@torch.no_grad()
def _keep_finite(layer: Any, old: dict[str, Tensor]) -> None:
    """What is not finite is what it was, and so is a layer that the samples did not reach."""
    for name in ("running_mean", "running_var"):
        now, before = getattr(layer, name), old[name]
        reached = (layer.num_batches_tracked > 0) & now.isfinite()
        now.copy_(torch.where(reached, now, before))


def _statistics(layer: Any) -> dict[str, Tensor]:
    names = ("running_mean", "running_var", "num_batches_tracked")
    return {name: getattr(layer, name).clone() for name in names}
