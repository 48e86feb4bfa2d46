"""A guide that refines what its encoder answers (Kim, Wiseman, Miller, Sontag, Rush 2018), arXiv:1802.02550.

    lambda_0 = encoder(x),   lambda_{t+1} = lambda_t + lr v_t,   q(z | x) = q(z; lambda_T)
    v_t = momentum v_{t-1} + clip(d ELBO(x; lambda_t) / d lambda)

The steps are differentiable: the encoder learns to begin where a few steps lead furthest, and the model's
gradient counts them too. (The published code takes Hessian products by finite differences; here they are
exact.) Each step costs a pass of the model and its gradient; a training step of T refinements about 3 T + 1
such passes.
"""

from typing import Any

import pyro
import torch
from pyro.poutine import block
from torch import Tensor

from zoo.infer.guides import AmortizedGuide, Guide
from zoo.infer.joint import Joint
from zoo.infer.noise import SampleStreams
from zoo.infer.objectives import analytic_where_unbiased
from zoo.infer.programs import batch_plate
from zoo.parts.heads import distribution_of
from zoo.settings import require


class SemiAmortizedGuide(AmortizedGuide):
    """q(z | x) for a model of one latent variable; see the module's docstring.

    The noise of a refinement is fixed: the same at all its steps, in evaluation the same at every call, so
    that q(z | x) is a function of the batch.

    Args:
        posterior: a head whose ``encode`` returns one tensor (B, P), such as `zoo.NormalHead`.
        model: that the bound is of; unlike for other guides it is needed.
        steps: T; 0 for `zoo.AmortizedGuide`.
        learning_rate: lr, for the gradient of one image's bound in nats.
        momentum: factor of the last step.
        clip: largest norm of one image's gradient.
        samples: of z an image, which a step's bound is the mean of.
        site: the latent's name in the model.

    Raises:
        UsageError: if a number is out of range.
    """

    def __init__(
        self,
        posterior: Any,
        *,
        model: Any,
        steps: int = 20,
        learning_rate: float = 0.01,
        momentum: float = 0.5,
        clip: float = 5.0,
        samples: int = 1,
        site: str = "z",
    ) -> None:
        super().__init__(posterior, site=site, model=model)
        require(steps >= 0, "steps >= 0", steps)
        require(learning_rate > 0, "learning_rate > 0", learning_rate)
        require(0 <= momentum < 1, "0 <= momentum < 1", momentum)
        require(clip > 0, "clip > 0", clip)
        require(samples >= 1, "samples >= 1", samples)
        self.steps, self.learning_rate, self.momentum = steps, learning_rate, momentum
        self.clip, self.samples = clip, samples

    def encode(self, x: Tensor) -> Tensor:
        """The refined parameters of q(z | x), (B, P)."""
        return self.refined(x, self.head.encode(x))

    def refined(self, x: Tensor, parameters: Tensor) -> Tensor:
        """lambda_T from lambda_0 (B, P); differentiable where gradients are on."""
        learning = torch.is_grad_enabled()
        seed = int(torch.randint(2**31, ()).item()) if self.training and self.steps else 0
        velocity = torch.zeros_like(parameters)
        with torch.enable_grad():
            for _ in range(self.steps):
                kept = learning and parameters.requires_grad
                at = parameters if kept else parameters.detach().requires_grad_()
                bound = self.bound(x, at, seed)
                (gradient,) = torch.autograd.grad(bound.sum(), at, create_graph=learning)
                velocity = self.momentum * velocity + _clipped(gradient, self.clip)
                parameters = at + self.learning_rate * velocity
                parameters = parameters if learning else parameters.detach()
        return parameters

    def bound(self, x: Tensor, parameters: Tensor, seed: int = 0) -> Tensor:
        """ELBO(x; lambda) of every image, (B,), with the noise of a seed."""
        noise = SampleStreams(seed, 0, self.samples, x.device)
        with block():  # this run is none of the sites of whoever traces the guide
            sites = Joint(self.model, _At(self, parameters), x).sample(self.samples, noise).values()
        terms = [s.log_p() if s.observed else -analytic_where_unbiased(s) for s in sites]
        return torch.stack(terms).sum(0).view(self.samples, -1).mean(0)

    def forward(self, x: Tensor) -> None:
        """Sample z ~ q(z | x)."""
        q = distribution_of(self.head, self.encode(x))
        with batch_plate():
            pyro.sample(self.site, q)


class _At(Guide):
    """The guide with given parameters of its posterior."""

    def __init__(self, guide: SemiAmortizedGuide, parameters: Tensor) -> None:
        super().__init__()
        self._guide, self._answer = (guide,), parameters

    def encode(self, x: Tensor) -> Tensor:
        """Those parameters."""
        return self._answer

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """The guide's own."""
        return self._guide[0].posterior(name, prior, h, features)


def _clipped(gradient: Tensor, norm: float) -> Tensor:
    """Rows of at most that norm."""
    size = gradient.flatten(1).square().sum(1).add(1e-20).sqrt()
    return gradient * (norm / size).clamp(max=1.0).view(-1, *[1] * (gradient.dim() - 1))
