"""Models with labels whose evidence is known: a table of probabilities, and a mixture of normals."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from distributions.copies import independent_copies
from zoo import Guide, Program, batch_plate, latent
from zoo.infer.programs import batch_size

CLASSES = 3


def one_hot(classes: int = CLASSES) -> Tensor:
    """Every label, (C, C)."""
    return torch.eye(classes, dtype=torch.float64)


def images(n: int = 4) -> Tensor:
    """Of one binary pixel."""
    return (torch.arange(n) % 2).double().view(n, 1, 1, 1)


class Table(Program):
    """p(y) p(a | y) p(x | y, a): three labels, a of two values, one binary pixel.

    Args:
        auxiliary: whether there is an `a`.
    """

    def __init__(self, *, auxiliary: bool = True) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)

        def logits(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator, dtype=torch.float64))

        self.y, self.a, self.x = logits(CLASSES), logits(CLASSES, 2), logits(CLASSES, 2)
        self.auxiliary = auxiliary

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        n = batch_size(x, n)
        with batch_plate():
            y = latent("y", independent_copies(dist.OneHotCategorical(logits=self.y), n))
            a = first(n)
            if self.auxiliary:
                a = latent("a", dist.OneHotCategorical(logits=y @ self.a), y)
            logits = ((y @ self.x) * a).sum(1).view(n, 1, 1, 1)
            return pyro.sample("x", dist.Bernoulli(logits=logits).to_event(3), obs=x)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, y, a), (B, C, 2), in the tables' own arithmetic."""
        p_x = torch.distributions.Bernoulli(logits=self.x).log_prob(x.view(-1, 1, 1))
        log_p = self.y.log_softmax(0)[:, None] + p_x
        return log_p + self.a.log_softmax(1) if self.auxiliary else log_p[..., :1]


def first(n: int) -> Tensor:
    return torch.tensor([1.0, 0.0], dtype=torch.float64).expand(n, 2)


class TableGuide(Guide):
    """q(a | x) drawn bottom-up, and q(y | x, a); the exact ones, or others."""

    def __init__(self, model: Table, *, exact: bool = True) -> None:
        super().__init__(model)
        self.law, self.exact = model, exact
        generator = torch.Generator().manual_seed(5)
        self.a = nn.Parameter(torch.randn(2, 2, generator=generator, dtype=torch.float64))
        self.y = nn.Parameter(torch.randn(2, 2, CLASSES, generator=generator, dtype=torch.float64))

    def log_q(self) -> tuple[Tensor, Tensor]:
        """log q(a | x), (2, 2), and log q(y | x, a), (2, 2, C), for x = 0, 1."""
        if not self.exact:
            return self.a.log_softmax(1), self.y.log_softmax(2)
        joint = self.law.log_joint(images(2)).transpose(1, 2)
        joint = joint.expand(2, 2, CLASSES)
        return joint.logsumexp(2).log_softmax(1), joint.log_softmax(2)

    def bottom_up(self, features):
        x = features.flatten().long()
        a = first(len(x))
        if self.law.auxiliary:
            with batch_plate():
                a = pyro.sample("a", dist.OneHotCategorical(logits=self.log_q()[0][x]))
        return x, a

    def posterior(self, name, prior, h, features):
        x, a = features
        return dist.OneHotCategorical(logits=self.log_q()[1][x, a.argmax(1)])


class NormalClasses(Program):
    """p(y) uniform, z ~ N(0, 1), x ~ N(m_y + v_y z, s^2): one pixel, a mixture of normals."""

    means, slopes, noise = (-2.0, 0.0, 1.5), (1.0, 0.5, -1.2), 0.6

    def forward(self, x: Tensor | None = None, *, n: int | None = None) -> Tensor:
        n = batch_size(x, n)
        prior = dist.OneHotCategorical(logits=torch.zeros(CLASSES, dtype=torch.float64))
        with batch_plate():
            y = latent("y", independent_copies(prior, n))
            z = latent("z", dist.Normal(torch.zeros(n, 1, dtype=torch.float64), 1.0).to_event(1), y)
            m, v = y @ y.new_tensor(self.means), y @ y.new_tensor(self.slopes)
            loc = (m + v * z[:, 0]).view(n, 1, 1, 1)
            return pyro.sample("x", dist.Normal(loc, self.noise).to_event(3), obs=x)

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, y), (B, C)."""
        m, v = x.new_tensor(self.means), x.new_tensor(self.slopes)
        p = torch.distributions.Normal(m, (v.square() + self.noise**2).sqrt())
        return p.log_prob(x.view(-1, 1)) - torch.tensor(CLASSES).double().log()

    def images(self) -> Tensor:
        return torch.tensor([-2.5, 0.3, 0.9, 4.0], dtype=torch.float64).view(-1, 1, 1, 1)


class NormalClassesGuide(Guide):
    """q(y | x) of given logits and q(z | x, y), the exact one moved by `shift`."""

    def __init__(self, model: NormalClasses, *, shift: float = 0.0, logits: Tensor | None = None) -> None:
        super().__init__(model)
        self.law, self.shift, self.logits = model, shift, logits

    def posterior(self, name, prior, h, features):
        if name == "y":
            logits = self.law.log_joint(features) if self.logits is None else self.logits
            return dist.OneHotCategorical(logits=logits.expand(len(features), CLASSES))
        m, v = h @ h.new_tensor(self.law.means), h @ h.new_tensor(self.law.slopes)
        precision = 1 + v.square() / self.law.noise**2
        loc = v * (features.flatten() - m) / self.law.noise**2 / precision
        scale = precision.rsqrt()
        return dist.Normal((loc + self.shift * scale)[:, None], scale[:, None]).to_event(1)
