"""A VAE of gated dense networks under a VampPrior (Tomczak & Welling 2017), arXiv:1705.07120.

p(x, z)  = p(x | z) p(z),                  p(z) = 1/C sum_c q(z | u_c)
q(z | x) = N(z; mu(x), diag(sigma(x)^2))

The pseudo-inputs u_c are images that are learned; model and guide share the encoder. 1,116,864 parameters
and, at 28 x 28 and C = 500, 392,000 of pseudo-inputs.
"""

from zoo.choices import PriorOfPseudoInputs
from zoo.infer.guides import AmortizedGuide
from zoo.models.vae import VAE
from zoo.nn.gated import gated_dense
from zoo.nn.layers import Shape
from zoo.nn.scales import bounded_scale
from zoo.parts.heads import NormalHead
from zoo.parts.likelihoods import BernoulliLikelihood
from zoo.parts.priors import VampPrior
from zoo.settings import construct


def vamp_vae(
    image_shape: Shape,
    *,
    latent: int = 40,
    hidden: tuple[int, ...] = (300, 300),
    num_pseudo_inputs: int = 500,
    prior: PriorOfPseudoInputs = VampPrior,
) -> tuple[VAE, AmortizedGuide]:
    """A VAE with a VampPrior, or another prior in its place: model and guide.

    The published code keeps the Bernoullis' means 1e-5 away from 0 and 1; here they are free.

    Args:
        image_shape: (C, H, W).
        latent: D, the size of z.
        hidden: widths of the encoder's gated layers; the decoder mirrors them.
        num_pseudo_inputs: C, the components of a VampPrior.
        prior: makes p(z) from the size of z; another one to compare with.
    """
    head = NormalHead(gated_dense(image_shape, hidden), latent, scale=bounded_scale)
    likelihood = BernoulliLikelihood(gated_dense((latent,), hidden[::-1]), image_shape)
    known = {"posterior": head, "image_shape": image_shape, "num_pseudo_inputs": num_pseudo_inputs}
    return VAE(construct(prior, latent, **known), likelihood), AmortizedGuide(head)
