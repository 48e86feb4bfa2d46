"""A guide with an auxiliary variable (Agakov & Barber 2004; Maaløe et al. 2016, arXiv:1602.05473).

    q(a, z | x) = q(a | x) q(z | a, x),      q(z | x) = ∫ q(a | x) q(z | a, x) da

is as rich as a mixture though both factors are normals. The model has p(a | x, z) beside p(x, z), which says
nothing of the images: E_q[p(x, z) p(a | x, z) / (q(a | x) q(z | a, x))] = p(x) whatever p(a | .) is, and the
closer it is to q(a | x, z), the tighter the bound. a is drawn before the model runs, so its KL is estimated
by Monte Carlo.
"""

from collections.abc import Mapping
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from zoo.infer.guides import Guide
from zoo.infer.programs import batch_plate
from zoo.parts.heads import distribution_of, encoded


class AuxiliaryGuide(Guide):
    """q(a | x) prod_i q(z_i | a, x, h_i), h_i the features that the model passes at its site z_i.

    Args:
        encoder: x to features f (B, F), of which all posteriors are made.
        auxiliary: head, q(a | f).
        heads: of every other latent, by its site: q(z | [f, a]), or q(z | [f, a, h]) where the model passes
            features h (`zoo.latent`).
        site: the auxiliary variable's name in the model.
        model: see `Guide`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        auxiliary: Any,
        heads: Mapping[str, nn.Module],
        *,
        site: str = "a",
        model: Any = None,
    ) -> None:
        super().__init__(model)
        self.encoder, self.auxiliary, self.site = encoder, auxiliary, site
        self.heads = nn.ModuleDict(heads)

    def encode(self, x: Tensor) -> tuple[Tensor, Any]:
        """The features of x and the parameters of q(a | x)."""
        f = self.encoder(x)
        return f, encoded(self.auxiliary, f)

    def bottom_up(self, features: Any) -> Tensor:
        """Sample a ~ q(a | x); returns [f, a]."""
        f, parameters = features
        with batch_plate():
            a = pyro.sample(self.site, distribution_of(self.auxiliary, parameters))
        return torch.cat([f, a], dim=1)

    def posterior(self, name: str, prior: Any, h: Any, features: Any) -> Any:
        """q(z_i | a, x, h_i).

        Raises:
            ValueError: if there is no head for the model's latent.
        """
        if name not in self.heads:
            known = ", ".join(self.heads)
            raise ValueError(f"expected a head for the latent {name!r} of the model; got heads for {known}")
        return self.heads[name](features if h is None else torch.cat([features, h], dim=1))
