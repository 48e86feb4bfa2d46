"""Runs measured on the same images, and their paired differences.

    d_i = L_K(x_i; run) - L_K(x_i; first run),   mean d +- sd(d) / sqrt(N)

Images that are hard for one model are hard for another, so the error of the mean difference is smaller than
the errors of the two means suggest. Nats of another protocol, or of a density beside a probability, compare
with nothing here, and such runs are refused.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.errors import UsageError
from zoo.experiments.pretrained import called
from zoo.infer.importance import stderr
from zoo.runs.images import require_images
from zoo.runs.report import Evaluation, plus_minus
from zoo.runs.run import Run
from zoo.runs.system import System


@dataclass(frozen=True)
class Comparison:
    """Figures of several runs on the same images.

    Attributes:
        evaluations: of each run, by its path or name; the first is the one that the others are compared with.
    """

    evaluations: Mapping[str, Evaluation]

    def difference(self, run: str) -> Tensor:
        """Log p(x) of a run minus that of the first, image by image, (N,), in nats."""
        first = next(iter(self.evaluations.values()))
        return self.evaluations[run].likelihood.log_likelihood - first.likelihood.log_likelihood

    def summary(self) -> dict[str, Any]:
        """The figures of every run, for JSON, with the protocol that they share."""
        runs = [{"run": run, **self._figures(run)} for run in self.evaluations]
        return {"comparison": runs, "protocol": next(iter(self.evaluations.values())).protocol}

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """The figures with their errors, for people, the best run marked."""
        figures = {run: self._figures(run) for run in self.evaluations}
        width = max(map(len, [*figures, "nats an image"]))
        best = max(figures, key=lambda run: figures[run]["log_likelihood"])
        head = f"{'nats an image':{width}s}  {'ELBO':>17s} {'log p(x)':>17s} {'K':>6s} {'bits/dim':>17s}"
        lines = [f"{head} {'difference':>17s} {'bits/dim':>17s}"]
        for run, f in figures.items():
            lines.append(f"{run:{width}s}  {_row(f)}{'  best' if run == best else ''}")
        return "\n".join([*lines, self._notes(figures)])

    def _figures(self, run: str) -> dict[str, Any]:
        evaluation = self.evaluations[run]
        difference = self.difference(run)
        bits = evaluation.likelihood.dimensions * math.log(2)
        mean, error = (0.0, 0.0) if self._is_first(run) else (difference.mean().item(), stderr(difference))
        return {
            **evaluation.summary(),
            "difference": mean,
            "difference_stderr": error,
            "difference_bits_per_dim": 0.0 - mean / bits,
            "difference_bits_per_dim_stderr": error / bits,
        }

    def _is_first(self, run: str) -> bool:
        return run == next(iter(self.evaluations))

    def _notes(self, figures: Mapping[str, Mapping[str, Any]]) -> str:
        first = next(iter(figures))
        shares = {run: f["pareto_k_above_0.7"] for run, f in figures.items() if f["pareto_k_above_0.7"]}
        notes = [f"difference of log p(x) from {first}, paired by image: its error is that of the pairs"]
        notes += [
            f"{run}: Pareto k > 0.7 for {share:.0%} of the images, where log p(x) is a lower bound"
            for run, share in shares.items()
        ]
        return "\n".join([*notes, f"{figures[first]['images']} images of {self.summary()['protocol']}"])


def compare(
    runs: Sequence[str | Path | Run],
    *,
    samples: int = 1000,
    images: int | None = None,
    split: str = "test",
    seed: int = 0,
    chunk: int | None = None,
) -> Comparison:
    """Evaluate runs on the same images, with paired differences from the first.

    Args:
        runs: folders, or runs, two or more.
        samples: importance samples an image, K.
        images: the first so many of the split, all by default.
        split: test or validation.
        seed: of the noise.
        chunk: samples at a time, for memory and speed only.

    Raises:
        UsageError: for fewer than two runs, for one given twice, or for runs whose figures do not compare,
            saying how they differ.
    """
    opened = {called(run.path): run for run in (r if isinstance(r, Run) else Run.open(r) for r in runs)}
    if len(opened) < 2 or len(opened) < len(runs):
        raise UsageError(
            f"expected two or more runs to compare, each once; got {', '.join(opened) or 'none'}"
        )
    first, *others = opened.values()
    for other in others:
        require_comparable(first, other)
    for run in opened.values():
        require_images(run.data, split, images)
    options: Any = {"images": images, "split": split, "seed": seed, "chunk": chunk}
    return Comparison({name: run.evaluate(samples, **options) for name, run in opened.items()})


def require_comparable(first: Run, other: Run) -> None:
    """Check that the log-likelihoods of two runs are of the same images under the same protocol.

    Raises:
        UsageError: naming what differs.
        CheckpointError: if the checkpoint of one is missing or damaged.
    """
    ours, theirs = _protocol(first), _protocol(other)
    if ours["data"] == theirs["data"]:  # else the images need not be at hand
        ours, theirs = ours | _images(first), theirs | _images(other)
    differ = [
        f"{key} is {_shown(ours[key])} there and {_shown(theirs[key])} here"
        for key in ours
        if ours[key] != theirs[key]
    ]
    if differ:
        raise UsageError(
            f"{called(other.path)} does not compare with {called(first.path)}: {'; '.join(differ)}; take "
            "runs of one protocol"
        )


def _protocol(run: Run) -> dict[str, Any]:
    """What two runs must share and is known before any image is read, by name."""
    return {name: run.experiment.option(name) for name in ("data", "binarize", "binarize_seed", "validation")}


def _images(run: Run) -> dict[str, Any]:
    """What else they must share, by name."""
    return {
        "the image shape": tuple(run.data.image_shape),
        "the fingerprint of the images": run.data.fingerprint[:12],
        "the figure": _measure(run.system),
    }


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _measure(system: System) -> str:
    """What the log-likelihood is the logarithm of."""
    if system.model.takes == "binary":
        return "a probability of binary pixels"
    if system.levels is None:
        return "a density of continuous pixels"
    return f"a probability of pixels of {system.levels} levels"


def _row(f: Mapping[str, Any]) -> str:
    samples = "exact" if f["exact"] else f["samples"]
    cells = [
        _pm(f["elbo"], f["elbo_stderr"], 2),
        _pm(f["log_likelihood"], f["log_likelihood_stderr"], 2),
        f"{samples:>6}",
        _pm(f["bits_per_dim"], f["bits_per_dim_stderr"], 4),
        _pm(f["difference"], f["difference_stderr"], 3),
        _pm(f["difference_bits_per_dim"], f["difference_bits_per_dim_stderr"], 4),
    ]
    return " ".join(cells)


def _pm(mean: float, error: float, digits: int) -> str:
    return f"{plus_minus(mean, error, digits):>17s}"
