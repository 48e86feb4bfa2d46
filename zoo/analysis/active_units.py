"""How many units of each latent variable a model uses (Burda, Grosse, Salakhutdinov 2015, arXiv:1509.00519).

A_u = Cov_x(E_{q(u | x)}[u]),   u is active where A_u > 0.01
"""

from typing import Any

import torch
from torch import Tensor

from zoo.analysis.sampling import picture
from zoo.infer.joint import Joint
from zoo.infer.programs import evaluating

ACTIVE = 0.01  # arXiv:1509.00519, section 5.2: the histogram of A_u has two modes, apart around there


@torch.no_grad()
def active_units(
    model: Any, guide: Any, x: Tensor, *, samples: int = 10, threshold: float = ACTIVE
) -> dict[str, int]:
    """How many units of every latent site are active, over the images x (B, ...).

    See `activity` for the estimate. Of a feature map every element is a unit.

    Args:
        model: a Pyro program, called ``model(x)``.
        guide: a `zoo.Guide` or any Pyro program.
        x: at least two images; a few hundred give a good estimate.
        samples: of the latents an image, at least two.
        threshold: of A_u, the variance over the images.
    """
    found = activity(model, guide, x, samples=samples)
    return {name: int((a > threshold).sum()) for name, a in found.items()}


@torch.no_grad()
def activity(model: Any, guide: Any, x: Tensor, *, samples: int = 10) -> dict[str, Tensor]:
    """A_u = Cov_x(E_{q(u | x)}[u]) of every unit, by site, (units,), without bias.

    In a hierarchy q(u | x) = E[q(u | x, a)] over the latents a that u is inferred from. These are sampled, so
    the means m_k = E[u | x, a_k] also differ between the samples k = 1 ... K of one image; A_u is how they
    differ between images only, the covariance over x of two samples:

        A_u = 1 / (K (K - 1)) sum_{k != l} Cov_x(m_k, m_l)

    which is the variance itself where u has no such latents. Where a posterior knows no mean, m is a draw.

    Raises:
        ValueError: with fewer than two images or samples.
    """
    if len(x) < 2 or samples < 2:
        raise ValueError(f"expected at least two images and two samples; got {len(x)} and {samples}")
    with evaluating(model, guide):
        joint = Joint(model, guide, x)
        drawn = [_means(joint.sample()) for _ in range(samples)]
    return {name: _covariance(torch.stack([means[name] for means in drawn])) for name in drawn[0]}


def _means(sites: Any) -> dict[str, Tensor]:
    """E[u | x, a] of every latent, (B, units)."""
    latents = [site for site in sites.values() if not site.observed]
    return {s.name: picture(s.posterior, s.value).double().flatten(1) for s in latents}


def _covariance(m: Tensor) -> Tensor:
    """Mean of Cov_x(m_k, m_l) over the pairs k != l, (K, B, units) -> (units,)."""
    k, images, _ = m.shape
    centred = m - m.mean(1, keepdim=True)
    pairs = centred.sum(0).square().sum(0)  # k = l among them
    own = centred.square().sum((0, 1))
    return (pairs - own) / (k * (k - 1) * (images - 1))
