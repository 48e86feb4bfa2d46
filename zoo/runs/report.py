"""Figures of a run on held-out images, and how they are printed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import NonFiniteError
from zoo.infer.annealed import AnnealedLogLikelihood
from zoo.infer.importance import LogLikelihood
from zoo.training.finite import DIVERGED
from zoo.training.progress import Progress


@dataclass(frozen=True)
class Evaluation:
    """Figures of a run on held-out images.

    Attributes:
        likelihood: of each image.
        metrics: figures that the objective adds, such as the classification error.
        protocol: what the images are, in a line.
    """

    likelihood: LogLikelihood
    metrics: Mapping[str, float]
    protocol: str

    def summary(self) -> dict[str, Any]:
        """The figures, for JSON."""
        return {**self.likelihood.summary(), **self.metrics}

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """The figures with their errors, for people."""
        images = f"images             {self.protocol}"
        return "\n".join(filter(None, [table(self.likelihood), metrics_table(self.metrics), images]))


def advancing(bar: Progress) -> Callable[[int], None]:
    """Moves the bar by the number of images that are done."""
    done = 0

    def advance(images: int) -> None:
        nonlocal done
        done += images
        bar.update(done, {})

    return advance


def require_resolved(result: LogLikelihood) -> None:
    """Check that a log-likelihood is one that a model could have.

    Raises:
        NonFiniteError: if it is not finite, or beyond `DIVERGED`.
    """
    if not abs(result.mean) <= DIVERGED * result.dimensions:  # nor if it is NaN
        raise NonFiniteError(
            f"the log-likelihood of these images is {result.mean:.3g} nats: the run has diverged; train with "
            "a smaller learning_rate, or clip=1"
        )


def plus_minus(mean: float, error: float, digits: int, *, width: int = 1) -> str:
    """A mean and its standard error; the mean without one where there is none, as of a single image."""
    return f"{mean:{width}.{digits}f}" + ("" if math.isnan(error) else f" +- {error:.{digits}f}")


def table(result: LogLikelihood) -> str:
    """The figures with their errors, for people."""
    s = result.summary()
    if isinstance(result, AnnealedLogLikelihood) and not result.exact:
        return _annealed_table(result)
    if result.exact:
        return "\n".join(
            [
                f"test log p(x)      {_figure(s, 'log_likelihood')} nats an image, exact: "
                f"no latent variables, nothing to sample ({_images(s, 1)})",
                f"bits/dim           {_figure(s, 'bits_per_dim', 4)}",
            ]
        )
    smoothed = (
        f"log p(x), smoothed {_figure(s, 'smoothed')} nats by Pareto smoothed "
        "weights: an estimate, not a bound"
    )
    lines = [
        f"test ELBO          {_figure(s, 'elbo')} nats an image",
        f"log p(x), K={result.samples:<6d} {_figure(s, 'log_likelihood')} nats "
        f"({_images(s, result.samples)})",
        *([] if s["pareto_k"] is None else [smoothed]),
        f"bits/dim           {_figure(s, 'bits_per_dim', 4)}",
        f"effective samples  {s['ess']:10.1f} of {result.samples}",
        f"Pareto k           {_or_none(s['pareto_k'])}",
    ]
    return "\n".join(lines) + _warning(s)


def _annealed_table(result: AnnealedLogLikelihood) -> str:
    s = result.summary()
    lines = [
        f"log p(x), annealed {_figure(s, 'log_likelihood')} nats ({_images(s, result.samples)})",
        f"one chain's bound  {_figure(s, 'annealed_bound')} nats an image",
        f"bits/dim           {_figure(s, 'bits_per_dim', 4)}",
        f"chains             {result.samples} an image, {result.steps} temperatures, {result.leapfrog} "
        f"leapfrog steps, acceptance {s['acceptance']:.2f}",
        f"effective chains   {s['ess']:10.1f} of {result.samples}",
    ]
    return "\n".join(lines)


def metrics_table(metrics: Mapping[str, float]) -> str:
    """Further figures of an objective with their errors, a line each."""
    lines = [
        f"{name.replace('_', ' '):18s} {_figure(metrics, name, 4)}"
        for name in metrics
        if f"{name}_stderr" in metrics
    ]
    return "\n".join(lines)


def _figure(figures: Mapping[str, Any], name: str, digits: int = 3) -> str:
    return plus_minus(figures[name], figures[f"{name}_stderr"], digits, width=10)


def _images(figures: Mapping[str, Any], samples: int) -> str:
    """How many images, and the error from sampling, of which one sample says nothing."""
    count = f"{figures['images']} image{'s' if figures['images'] > 1 else ''}"
    error = figures["log_likelihood_stderr_over_samples"]
    return count if samples == 1 else f"{count}; +- {error:.3f} from sampling"


def _or_none(k_hat: Any) -> str:
    return f"{k_hat:10.2f} (mean)" if k_hat is not None else "      none (needs K >= 25)"


def _warning(summary: Mapping[str, Any]) -> str:
    share = summary["pareto_k_above_0.7"]
    if not share:
        return ""
    return (
        f"\n                   k > 0.7 for {share:.0%} of the images: there log p(x) is a lower bound "
        "that more samples would raise"
    )
