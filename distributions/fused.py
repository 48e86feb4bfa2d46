"""Log densities of events in fewer passes over memory than PyTorch takes.

``Independent.log_prob`` writes the term of every element before it sums them, and a normal's takes ten
operations. Here the normals and Bernoullis that most models are made of have one function each, with its
gradient written out. Other distributions keep their own ``log_prob``.
"""

from typing import Any

import torch
from torch import Tensor

from distributions.base_normal import elements
from distributions.fused_bernoulli import FusedBernoulli, bernoulli_log_prob
from distributions.fused_normal import normal_log_prob


def fused_log_prob(distribution: Any, value: Tensor) -> Tensor:
    """``distribution.log_prob(value)``, up to rounding; of normals and `FusedBernoulli` in fewer passes."""
    base, event_dim = elements(distribution)
    if is_plain_normal(base):
        _validate(base, value)
        return normal_log_prob(value, base.loc, base.scale, event_dim)
    if type(base) is FusedBernoulli:
        _validate(base, value)
        return bernoulli_log_prob(value, base.logits, event_dim)
    log_prob: Tensor = distribution.log_prob(value)
    return log_prob


def is_plain_normal(distribution: Any) -> bool:
    """Whether it draws and scores as PyTorch's ``Normal`` does, whatever its parameters are made of."""
    normal, kind = torch.distributions.Normal, type(distribution)
    return (
        isinstance(distribution, normal)
        and kind.rsample is normal.rsample
        and kind.log_prob is normal.log_prob
    )


def _validate(distribution: Any, value: Tensor) -> None:
    if distribution._validate_args:
        distribution._validate_sample(value)
