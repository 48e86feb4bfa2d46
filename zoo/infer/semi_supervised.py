"""Learning from few labels: y is a latent variable of the model, observed for some of the images.

Kingma, Rezende, Mohamed, Welling 2014, arXiv:1406.5298; Maaløe, Sønderby, Sønderby, Winther 2016,
arXiv:1602.05473. With a for all that the guide draws before the model runs:

    L(x, y) = E_{q(a | x) q(z | x, y, a)}[log p(x, y, z, a) - log q(z | x, y, a) - log q(a | x)]
    U(x)    = E_{q(a | x)}[sum_y q(y | x, a) (L(x, y; a) - log q(y | x, a))]

bounds on log p(x, y) and on log p(x). What is minimised:

    loss    = - mean U(x) - weight * mean L(x, y) - alpha * mean E_{q(a | x)}[log q(y | x, a)]

the first mean over unlabelled images, the others over labelled ones. The papers sum over both data sets: that
is, divided by the N unlabelled images, weight = N_l / N_u. The classifier's term, which teaches q(y | x, a)
from the labels directly, has alpha = 0.1 N / N_u in the first paper, about 0.1.

The sum over y is exact: a is drawn once and the model runs once, all classes folded into its batch. The
classifier is a method of the guide; see `zoo.infer.classification`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from zoo.conversion import Natural
from zoo.infer.classification import LABEL, classification, every_label
from zoo.infer.handlers import Draws, Site
from zoo.infer.joint import BottomUp, Joint
from zoo.infer.objectives import (
    ELBO,
    ELBOLoss,
    Terms,
    analytic_where_unbiased,
    auxiliary,
    require_reparameterised,
)
from zoo.ranks import of_first, rank, world_size
from zoo.settings import require


class SemiSupervised(ELBO):
    """The objective of the module's docstring; a loss made of it is called with unlabelled images.

    Args:
        labelled: images (N, ...) as `encoding` takes them and their labels, one-hot (N, C); without them the
            loss is -U(x), and the classes are clusters.
        alpha: factor of the classifier's term, per labelled image.
        weight: factor of L(x, y), per labelled image.
        labelled_batch: labelled images a step, drawn with replacement; all of them where there are no more.
        labels: how many labelled images `prepare` draws from a data set, as many of each class.
        labels_seed: by which it draws them.
        encoding: of the labelled images drawn in a step, so that each is binarised anew; none by default.
        num_particles: draws of a and z an image.
        beta: as for `ELBO`.
        free_bits: as for `ELBO`. The label has none: it pays its whole KL, of log C nats at most.
        warmup: as for `ELBO`.
        free_bits_steps: as for `ELBO`.
        kl: as for `ELBO`.

    Raises:
        UsageError: if a number is out of range.
        ValueError: if there is not one label an image.
    """

    def __init__(
        self,
        *,
        labelled: tuple[Tensor, Tensor] | None = None,
        alpha: float = 0.1,
        weight: float = 1.0,
        labelled_batch: int = 100,
        labels: int = 100,
        labels_seed: int = 0,
        encoding: Callable[[Tensor], Tensor] | None = None,
        num_particles: int = 1,
        beta: float = 1.0,
        free_bits: float = 0.0,
        warmup: int = 0,
        free_bits_steps: Natural | None = None,
        kl: Callable[[Site], Tensor] = analytic_where_unbiased,
    ) -> None:
        super().__init__(
            num_particles, beta, free_bits, warmup=warmup, free_bits_steps=free_bits_steps, kl=kl
        )
        require(0 <= alpha < math.inf, "alpha >= 0, finite", alpha)
        require(0 <= weight < math.inf, "weight >= 0, finite", weight)
        require(labelled_batch >= 1, "labelled_batch >= 1", labelled_batch)
        require(labels >= 1, "labels >= 1", labels)
        if labelled is not None:
            _require_one_label_an_image(*labelled)
        self.labelled, self.encoding = labelled, encoding
        self.alpha, self.weight, self.labelled_batch = alpha, weight, labelled_batch
        self.labels, self.labels_seed = labels, labels_seed

    def __call__(self, model: Any, guide: Any) -> "SemiSupervisedLoss":
        """The loss of this pair."""
        return SemiSupervisedLoss(model, guide, self)

    def prepare(self, model: Any, data: Any, encoding: Callable[..., Tensor]) -> None:
        """Draw the labelled images from the training images of a data set.

        Raises:
            UsageError: if the model has no label.
            DataError: if there are no labels, too few, or of other classes than the model's.
        """
        has_label = hasattr(model, "label")
        require(has_label, "a model with a label, as of m2_digits, for SemiSupervised", type(model).__name__)
        classes = model.label.classes
        chosen = data.labelled(self.labels, classes=classes, seed=self.labels_seed)
        self.labelled = chosen.images, F.one_hot(chosen.labels, classes).float()
        self.encoding = partial(encoding, levels=data.levels)

    def metrics(self, loss: Any, x: Tensor, labels: Tensor | None, **options: Any) -> dict[str, float]:
        """The share of wrong classes and the cross-entropy, with standard errors, where there are labels."""
        if labels is None:
            return {}
        return classification(loss.model, loss.guide, x, labels, **options).summary()


class SemiSupervisedLoss(ELBOLoss):
    """See `SemiSupervised`; in evaluation mode -U(x). The labelled images are no part of its state.

    Several processes share the labelled images of a step, as they share its unlabelled ones.

    Attributes:
        stats: the terms of U, and of the labelled images ``labelled_elbo`` (L), ``cross_entropy`` (nats) and
            ``accuracy``.
    """

    labelled_x: Tensor | None
    labelled_y: Tensor | None
    objective: SemiSupervised

    def __init__(self, model: Any, guide: Any, objective: SemiSupervised) -> None:
        super().__init__(model, guide, objective)
        x, y = objective.labelled or (None, None)
        self.register_buffer("labelled_x", x, persistent=False)
        self.register_buffer("labelled_y", y, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The loss of unlabelled images x (B, C, H, W), and of a draw of the labelled ones."""
        with Draws():
            chosen = self._chosen() if self.training and self.labelled_x is not None else None
            unlabelled = super().forward(x)
            if chosen is None:
                return unlabelled
            return unlabelled + self._labelled_cost(chosen)

    def _labelled_cost(self, chosen: Tensor) -> Tensor:
        """This process's part of the labelled images' cost, of which the mean over the processes is taken."""
        mine = chosen.tensor_split(world_size())[rank()]
        share = len(mine) * world_size() / len(chosen)
        if not len(mine):  # the networks are called all the same: parameters may be gathered for that
            mine = chosen[:1]
        terms, log_q = self.labelled_terms(*self._labelled(mine))
        self.stats |= {"labelled_elbo": terms.elbo().detach().mean()}
        cost = self.objective.weight * self.cost(terms).mean() - self.objective.alpha * log_q.mean()
        return cost * share

    def terms(self, x: Tensor) -> Terms:
        """The terms of U(x), each (k, B) in nats: every site's expectation over y ~ q(y | x, a)."""
        joint = Joint(self.model, self.guide, x)
        below = joint.bottom_up(self.k)
        y, log_q = every_label(joint, below)
        classes = len(log_q)
        sites = self._sites(joint, below.copies(classes), classes * self.k, y)
        return self._expected(sites, log_q)

    def labelled_terms(self, x: Tensor, y: Tensor) -> tuple[Terms, Tensor]:
        """The terms of L(x, y), y being observed, and log q(y | x, a), each (k, B) in nats."""
        joint = Joint(self.model, self.guide, x)
        below = joint.bottom_up(self.k)
        log_q = self._classified(joint, below, y)
        sites = self._sites(joint, below, self.k, y.repeat(self.k, 1))
        return self.by_site(sites), rearrange(log_q, "(k b) -> k b", k=self.k)

    def _sites(self, joint: Joint, below: BottomUp, copies: int, y: Tensor) -> list[Site]:
        sites = list(joint.answered(below, copies, given={LABEL: y}).values())
        _require_label(sites)
        if torch.is_grad_enabled():
            require_reparameterised(sites)
        return sites

    def _expected(self, sites: list[Site], log_q: Tensor) -> Terms:
        """sum_y q(y | x, a) f(y) of every site's terms f; the label's is KL(q(y | x, a) || p(y))."""
        q = rearrange(log_q.exp(), "c (k b) -> c k b", k=self.k)

        def mean(term: Tensor) -> Tensor:
            by_class = rearrange(term, "(c k b) -> c k b", c=len(log_q), k=self.k)
            return (q * by_class).sum(0)

        label = {s.name: mean(log_q.flatten() - s.log_p()) for s in sites if s.name == LABEL}
        return Terms(
            {s.name: mean(s.log_p()) for s in sites if s.observed and s.name != LABEL},
            {**label, **{s.name: mean(self.kl(s)) for s in sites if not s.observed}},
            auxiliary(sites) | {LABEL},
        )

    def _classified(self, joint: Joint, below: BottomUp, y: Tensor) -> Tensor:
        """Log q(y | x, a) of the labels y (B, C) that were observed, (k B,), in nats."""
        _, log_q = every_label(joint, below)
        right = y.argmax(1).repeat(self.k)
        of_labels = log_q.gather(0, right[None])[0]
        self.stats |= {
            "cross_entropy": -of_labels.detach().mean(),
            "accuracy": (log_q.argmax(0) == right).to(log_q.dtype).mean(),
        }
        return of_labels

    def _chosen(self) -> Tensor:
        """Which labelled images this step takes: (n,), the same in all processes."""
        assert self.labelled_x is not None
        x, size = self.labelled_x, self.objective.labelled_batch
        if size >= len(x):
            return torch.arange(len(x), device=x.device)
        return of_first(torch.randint(len(x), (size,), device=x.device))

    def _labelled(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """Labelled images, encoded, and their labels."""
        assert self.labelled_x is not None
        assert self.labelled_y is not None
        x, encoding = self.labelled_x[which], self.objective.encoding
        return (x if encoding is None else encoding(x)), self.labelled_y[which]


def _require_label(sites: list[Site]) -> None:
    if not any(site.name == LABEL for site in sites):
        raise ValueError(
            f"expected a model with a site {LABEL!r}, the label; got {[site.name for site in sites]}"
        )


def _require_one_label_an_image(x: Tensor, y: Tensor) -> None:
    if y.dim() != 2 or len(x) != len(y) or not len(x) or not y.is_floating_point():
        raise ValueError(
            f"expected labelled images and floating-point labels, one-hot ({len(x)}, C); got {y.dtype} "
            f"{tuple(y.shape)}: torch.nn.functional.one_hot(labels, C).float()"
        )
