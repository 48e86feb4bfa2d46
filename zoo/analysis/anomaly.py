"""Anomaly detection with a hierarchy of latents, by what its upper layers make of an image.

    score^{>k}(x) = -L^{>k}(x)                    Maaløe et al. 2019, arXiv:1902.02102
    LLR^{>k}(x) = L(x) - L^{>k}(x)                Havtorn et al. 2021, arXiv:2102.08248

Higher is more anomalous. The likelihood by itself fails: low layers code edges and strokes, which a data set
that the model has never seen may have as well. `zoo.above` defines L^{>k}; LLR^{>k} is, up to the gap of L,
the KL divergence from the true posterior to the one whose layers up to k are the prior's.

Both are estimated by the mean of `samples` log weights, unbiased for the bound. The importance-weighted
average, ``log_likelihood(model, above(guide, k), x, k=...)``, is another score: it tends to log p(x) with
its samples, whatever the layer.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.analysis.latents import count_layers
from zoo.analysis.plots import histogram
from zoo.errors import UsageError
from zoo.infer.importance import log_likelihood
from zoo.infer.layers_above import above

SAMPLES = 10  # of each bound: one is unbiased as well, but its noise hides small differences
TPR = 0.8  # at which the false positive rate is reported


def bounds(
    model: Any,
    guide: Any,
    x: Tensor,
    ks: Iterable[int] | None = None,
    *,
    samples: int = SAMPLES,
    mean: bool = False,
    batch_size: int = 100,
    chunk: int | None = None,
    seed: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, Tensor]:
    """L^{>k} of each image, {k: (N,)}, float64, in nats.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `zoo.Guide` or any Pyro program, called ``guide(x)``.
        x: images (N, C, H, W).
        ks: layers; L^{>0} is the ELBO. By default 0 ... L-1.
        samples: log weights an image, whose mean is the estimate.
        mean: layers up to k at the mean of their prior, see `zoo.above`.
        batch_size: images at a time.
        chunk: samples at a time, see `zoo.log_likelihood`.
        seed: of the noise.
        progress: called with the number of images done after each batch, of N times as many as there are k.

    Raises:
        UsageError: if a k is negative or the model has fewer layers, or none at all.
        NonFiniteError: if a weight is not a number.
    """
    ks = chosen_layers(model, guide, x, ks)
    options: Any = {"batch_size": batch_size, "chunk": chunk, "seed": seed, "progress": progress}
    results = {k: log_likelihood(model, above(guide, k, mean), x, samples, **options) for k in ks}
    return {k: result.elbo for k, result in results.items()}


def chosen_layers(model: Any, guide: Any, x: Tensor, ks: Iterable[int] | None = None) -> list[int]:
    """The layers of which `bounds` gives a bound, each once, in order; see there.

    Raises:
        UsageError: if one is out of range, or there is none.
    """
    layers = count_layers(model, guide, x)
    if not layers:
        raise UsageError("this model has no layers of latent variables: L^{>k} is for those that have")
    wanted = sorted(set(range(layers) if ks is None else ks))
    if not wanted or not 0 <= wanted[0] <= wanted[-1] <= layers:
        raise UsageError(f"expected layers k from 0 to {layers}, as many as the model has; got {wanted}")
    return wanted


def llr(bounds: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """LLR^{>k} = L^{>0} - L^{>k} of each image, {k: (N,)} for every k > 0; zero in mean where q is p.

    Args:
        bounds: what `bounds` returned, k = 0 among them.

    Raises:
        UsageError: if k = 0 is missing.
    """
    if 0 not in bounds:
        raise UsageError(f"expected L itself, k = 0, among the bounds; got k = {sorted(bounds)}")
    return {k: bounds[0] - bound for k, bound in bounds.items() if k > 0}


def scores(bounds: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Every score of each image by its name, ``L>k``, which is -L^{>k}, and ``LLR>k``."""
    ratios = llr(bounds) if 0 in bounds else {}
    named = {}
    for k, bound in sorted(bounds.items()):
        named[f"L>{k}"] = -bound
        if k in ratios:
            named[f"LLR>{k}"] = ratios[k]
    return named


def auroc(normal: Tensor, anomalous: Tensor) -> float:
    """P(s' > s) + P(s' = s) / 2 for the score s' of an anomaly and s of a normal image.

    Args:
        normal: scores (N,), N >= 1.
        anomalous: scores (M,), M >= 1; higher is more anomalous.

    Raises:
        ValueError: if there are no scores, or one is not a number.
    """
    normal, anomalous = _checked_scores(normal, anomalous)
    ranked = normal.sort().values
    below, up_to = (torch.searchsorted(ranked, anomalous, right=right) for right in (False, True))
    return ((below + up_to).double().mean() / (2 * len(normal))).item()


def auprc(normal: Tensor, anomalous: Tensor) -> float:
    """Average precision, sum_t (recall_t - recall_{t-1}) precision_t over the thresholds t from above.

    Anomalies are the positives, so that it is M / (N + M) by chance. See `auroc`.
    """
    caught, alarms = _counts(normal, anomalous)
    new = torch.diff(caught, prepend=caught.new_zeros(1)) / caught[-1]
    return (new * caught / (caught + alarms)).sum().item()


def fpr_at(normal: Tensor, anomalous: Tensor, *, tpr: float = TPR) -> float:
    """The least share of normal images flagged by a threshold that flags a share `tpr` of the anomalies.

    See `auroc` for the others.

    Args:
        normal: scores (N,).
        anomalous: scores (M,).
        tpr: in (0, 1].

    Raises:
        ValueError: for a share outside (0, 1], and as `auroc`.
    """
    if not 0 < tpr <= 1:
        raise ValueError(f"expected a share 0 < tpr <= 1; got {tpr}")
    caught, alarms = _counts(normal, anomalous)
    enough = caught / caught[-1] >= tpr
    return (alarms[enough][0] / len(normal)).item()


@dataclass(frozen=True)
class Detection:
    """How well one score detects anomalies.

    Attributes:
        score: its name, ``L>1`` or ``LLR>1``.
        auroc, auprc, fpr80: see the functions of these names; `fpr80` at a true positive rate of 80 %.
        normal, anomalous: mean scores, in nats.
    """

    score: str
    auroc: float
    auprc: float
    fpr80: float
    normal: float
    anomalous: float


@dataclass(frozen=True)
class Report:
    """Every score of two sets of images.

    Attributes:
        normal, anomalous: scores of each image, by name (`scores`).
        names: of the two sets.
        samples: log weights a bound.
    """

    normal: Mapping[str, Tensor]
    anomalous: Mapping[str, Tensor]
    names: tuple[str, str]
    samples: int

    @property
    def detections(self) -> list[Detection]:
        """A line a score."""
        return [_detection(name, self.normal[name], self.anomalous[name]) for name in self.normal]

    def plots(self) -> Tensor:
        """A histogram a score, (scores, 3, height, width)."""
        labels = [f"{name} ({kind})" for name, kind in zip(self.names, ("normal", "anomalous"), strict=True)]
        pairs = {name: (self.normal[name], self.anomalous[name]) for name in self.normal}
        return torch.stack(
            [
                histogram(dict(zip(labels, pair, strict=True)), title=name, label="nats")
                for name, pair in pairs.items()
            ]
        )

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """The figures, for people."""
        normal, anomalous = self.names
        n, m = (len(next(iter(s.values()))) for s in (self.normal, self.anomalous))
        head = f"normal {normal} ({n} images), anomalous {anomalous} ({m}); {self.samples} samples a bound"
        columns = f"{'score':8s} {'AUROC':>7s} {'AUPRC':>7s} {'FPR80':>7s}   mean, nats: normal, anomalous"
        rows = [
            f"{d.score:8s} {d.auroc:7.3f} {d.auprc:7.3f} {d.fpr80:7.3f} {d.normal:24.2f} {d.anomalous:10.2f}"
            for d in self.detections
        ]
        return "\n".join([head, columns, *rows])

    def summary(self) -> dict[str, Any]:
        """The numbers, for a file."""
        return {
            "normal": self.names[0],
            "anomalous": self.names[1],
            "samples": self.samples,
            "anomaly": [asdict(d) for d in self.detections],
        }


def compare(
    model: Any,
    guide: Any,
    normal: Tensor,
    anomalous: Tensor,
    ks: Iterable[int] | None = None,
    *,
    names: tuple[str, str] = ("normal", "anomalous"),
    samples: int = SAMPLES,
    **options: Any,
) -> Report:
    """The scores of normal (N, C, H, W) and anomalous (M, C, H, W) images; see `bounds` for the rest."""
    ks = None if ks is None else list(ks)
    found = [scores(bounds(model, guide, x, ks, samples=samples, **options)) for x in (normal, anomalous)]
    return Report(found[0], found[1], names, samples)


def _detection(name: str, normal: Tensor, anomalous: Tensor) -> Detection:
    pair = normal, anomalous
    means = (s.mean().item() for s in pair)
    return Detection(name, auroc(*pair), auprc(*pair), fpr_at(*pair), *means)


def _counts(normal: Tensor, anomalous: Tensor) -> tuple[Tensor, Tensor]:
    """Anomalies caught and false alarms at every distinct threshold, from the highest, in float64."""
    normal, anomalous = _checked_scores(normal, anomalous)
    thresholds = torch.cat([normal, anomalous]).unique().flip(0)
    caught, alarms = (
        len(s) - torch.searchsorted(s.sort().values, thresholds).double() for s in (anomalous, normal)
    )
    return caught, alarms


def _checked_scores(normal: Tensor, anomalous: Tensor) -> tuple[Tensor, Tensor]:
    for values in (normal, anomalous):
        if values.dim() != 1 or not len(values) or values.isnan().any():
            raise ValueError(
                f"expected scores of shape (N,), N >= 1, none of them NaN; got {tuple(values.shape)}, "
                f"{int(values.isnan().sum())} NaN"
            )
    return normal.double().cpu(), anomalous.double().cpu()
