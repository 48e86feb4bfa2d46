"""The classifier of a guide, q(y | x), and how well it predicts labels.

    q(y | x) = E_{q(a | x)}[q(y | x, a)],   a all that the guide draws before the model runs

The site of the label is ``y``, one-hot. The guide's ``posterior("y", prior, None, features)`` is the
classifier q(y | x, a); here it is called before the model runs, with None in place of the prior, on which it
must not depend.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.infer.importance import stderr
from zoo.infer.joint import BottomUp, Joint
from zoo.infer.noise import SampleStreams
from zoo.infer.programs import evaluating
from zoo.seeds import mixed_seed

LABEL = "y"
IMAGES_AT_ONCE = 500  # in `classify`


def every_label(joint: Joint, below: BottomUp) -> tuple[Tensor, Tensor]:
    """Every label for each of N rows, (C N, C), class-major, and log q(y | x, a), (C, N), in nats.

    Raises:
        ValueError: if the guide draws the label before the model runs.
    """
    if LABEL in below.drawn:
        raise ValueError(
            f"the guide draws {LABEL!r} in bottom_up, so it cannot be summed over: answer it in "
            f"posterior({LABEL!r}, ...)"
        )
    q = joint.guide.posterior(LABEL, None, None, below.features)
    y = q.enumerate_support()  # (C, N, C)
    return y.flatten(0, 1), q.log_prob(y)


@torch.no_grad()
def classify(model: Any, guide: Any, x: Tensor, *, samples: int = 1, seed: int | None = None) -> Tensor:
    """q(y | x), (N, C): the mean of q(y | x, a) over draws of a, what the guide draws bottom-up.

    Args:
        model: with a site ``y``.
        guide: see the module's docstring.
        x: images (N, ...).
        samples: draws of a; where the guide draws nothing, one is enough.
        seed: of the draws; by default they come from PyTorch's generator.
    """
    found = []
    with evaluating(model, guide):
        for j, batch in enumerate(x.split(IMAGES_AT_ONCE)):
            joint = Joint(model, guide, batch)
            log_q = [_log_q(joint, x.device, seed, j, i) for i in range(samples)]
            found.append(torch.stack(log_q).logsumexp(0).T - math.log(samples))
    return torch.cat(found).exp()


def _log_q(joint: Joint, device: torch.device, seed: int | None, *which: int) -> Tensor:
    """Log q(y | x, a) with one draw of a, (C, B)."""
    if seed is None:
        return every_label(joint, joint.bottom_up())[1]
    with SampleStreams(mixed_seed(seed, *which), 0, 1, device):
        return every_label(joint, joint.bottom_up())[1]


@dataclass(frozen=True)
class Classification:
    """How well images were classified.

    Attributes:
        wrong: (N,), 1 where the most probable class is not the label, else 0.
        cross_entropy: -log q(label | x), (N,), in nats.
    """

    wrong: Tensor
    cross_entropy: Tensor

    @property
    def error_rate(self) -> float:
        """The share of wrong classes."""
        return self.wrong.mean().item()

    def summary(self) -> dict[str, float]:
        """The numbers for a table; standard errors over the images."""
        return {
            "error_rate": self.error_rate,
            "error_rate_stderr": stderr(self.wrong),
            "cross_entropy": self.cross_entropy.mean().item(),
            "cross_entropy_stderr": stderr(self.cross_entropy),
        }


def classification(
    model: Any, guide: Any, x: Tensor, labels: Tensor, *, samples: int = 10, seed: int | None = None
) -> Classification:
    """How well a guide's q(y | x) predicts the classes `labels` (N,), integers; see `classify`.

    Raises:
        ValueError: if there is not one label an image.
    """
    if labels.shape != (len(x),):
        raise ValueError(f"expected one label an image, ({len(x)},); got {tuple(labels.shape)}")
    q = classify(model, guide, x, samples=samples, seed=seed)
    right = labels.to(q.device)[:, None]
    return Classification(
        (q.argmax(1, keepdim=True) != right)[:, 0].double(), -q.gather(1, right)[:, 0].log()
    )


def error_rate(model: Any, guide: Any, x: Tensor, labels: Tensor, **options: Any) -> float:
    """The share of the images x whose most probable class is not their label; see `classification`."""
    return classification(model, guide, x, labels, **options).error_rate
