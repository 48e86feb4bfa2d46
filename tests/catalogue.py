"""Named pairs of model and guide, small, for the laws; a new system joins by one line in `PAIRS`.

Each constructor takes the image's shape and returns model and guide.
"""

import functools
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from flows import AffineCoupling, Composed, checkerboard
from zoo import (
    VAE,
    AmortizedGuide,
    BernoulliLikelihood,
    Bernoullis,
    Categoricals,
    ConvDecoder,
    ConvEncoder,
    Dequantization,
    FlowDensity,
    LearnedNormal,
    LogisticMixtureLikelihood,
    LogisticMixtures,
    MixtureOfGaussians,
    NormalHead,
    StandardNormal,
    VampPrior,
    build,
    transformed,
)
from zoo.analysis.latents import count_layers
from zoo.experiments import names
from zoo.models import vae as vaes
from zoo.models.autoregressive import autoregressive
from zoo.models.biva import Stage, biva
from zoo.models.flow_density import pixel_density
from zoo.models.flow_plus_plus import coupled_noise
from zoo.models.hierarchical_vae import hierarchical_vae
from zoo.models.hvae_vamp import conv_hvae_vamp, hvae_vamp, pixel_hvae_vamp
from zoo.models.iaf_vae import iaf_vae
from zoo.models.iwae import iwae
from zoo.models.ladder_vae import ladder_vae, lvae
from zoo.models.linear_vae import linear_vae
from zoo.models.nvae import nvae
from zoo.models.vamp_vae import vamp_vae
from zoo.models.vdvae import vdvae
from zoo.nn.causal import MADE, DiagonalBiLSTM, GatedPixelCNN, PixelCNN, PixelCNNpp, RowLSTM, WaveNet
from zoo.parts.laws import absolute
from zoo.parts.posteriors import normal_with_flow, sylvester_posterior
from zoo.parts.priors import pixelcnn_prior

IMAGE = (1, 6, 5)  # height and width differ, and one is odd
SHAPES = [(3, 4, 4), (2, 5, 6), (1, 1, 3), (1, 4, 1)]  # even, odd, and as flat as can be


def vae(shape, *, prior: Any = None, flows=(), likelihood: Callable[..., nn.Module] = BernoulliLikelihood):
    encoder = NormalHead(ConvEncoder(shape, channels=4, strides=(2, 1)), 4)
    decoder = ConvDecoder(4, shape, channels=4, strides=(2, 1))
    model = VAE(StandardNormal(4) if prior is None else prior, likelihood(decoder, shape))
    return model, AmortizedGuide(transformed(encoder, flows) if flows else encoder)


def with_vamp_prior(shape):
    """A VAE of convolutions whose prior is made of its posterior."""
    model, guide = vae(shape)
    model.prior = VampPrior(4, posterior=guide.head, image_shape=shape, num_pseudo_inputs=3)
    return model, guide


def couplings(seed: int = 0) -> list[AffineCoupling]:
    """Two couplings that are not the identity."""
    return list(
        randomised(nn.ModuleList(AffineCoupling(4, flip=f, hidden=(8,)) for f in (False, True)), seed=seed)
    )


def vae_conditional(shape):
    """A VAE whose encoder also gives the context of the flows of its posterior."""
    model, _ = vae(shape)
    flow = randomised(
        Composed([AffineCoupling(4, flip=flip, hidden=(8,), context=3) for flip in (False, True)])
    )
    return model, AmortizedGuide(normal_with_flow(ConvEncoder(shape, channels=4, strides=(2,)), 4, flow))


def density(shape, *, noise: Any = None):
    """A density of images of two levels."""
    halves = [checkerboard(shape, flip=flip) for flip in (False, True)]
    flow = Composed([AffineCoupling(shape, mask=half, hidden=(4,)) for half in halves])
    return FlowDensity(pixel_density(randomised(flow)), levels=2), Dequantization(2, noise=noise)


def learned_noise(shape):
    return randomised(coupled_noise(shape, layers=2, channels=4, components=2), std=0.1)


def randomised(module, *, std: float = 0.3, seed: int = 0):
    """The module with other parameters, so that a flow is not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=std)
    return module


def logistic_mixture(net, shape):
    return LogisticMixtureLikelihood(net, shape, components=2, levels=4)


def hierarchy(builder: Callable[..., Any], layers: int, *, blocks: int = 2, spatial: bool = False, **options):
    """A hierarchy of few layers; where `spatial`, of feature maps and heads that see all of them."""
    stages = [
        Stage(
            3 if i else 4,
            filters=4,
            stride=2 if i % 2 == 0 else 1,
            blocks=blocks,
            spatial=spatial,
            head_kernel=0,
        )
        for i in range(layers)
    ]
    return lambda shape: builder(shape, stages, **options)


def bivas(layers: int, **options):
    return hierarchy(biva, layers, **options)


def nvaes(**options):
    """NVAE of three groups on two scales."""
    sizes = {"groups": (2, 1), "latent": 2, "channels": 4, "cells": 1, "image_cells": 1}
    return lambda shape: nvae(shape, **(sizes | options))


def vdvaes(**options):
    """VDVAE of three blocks on two resolutions."""
    sizes = {"blocks": (2, 1), "encoder_blocks": (1, 1), "factors": (2,), "width": 8, "latent": 2}
    return lambda shape: vdvae(shape, **(sizes | options))


def iaf_vaes(**options):
    """IAF-VAE of three layers on two scales."""
    sizes = {"blocks": (2, 1), "width": 4, "latent": 2, "hidden": (4, 4)}
    return lambda shape: iaf_vae(shape, **(sizes | options))


def pixels(network: Callable[..., Any], family: Callable[[int], Any] = Bernoullis, **sizes):
    """An autoregressive density."""
    return partial(autoregressive, network=partial(network, channels=4, **sizes), likelihood=family)


class IndependentChannels(Bernoullis):
    """Channels of a pixel drawn at once, as PixelCNN++ does."""

    groups = 1


def independent_channels(channels):
    return IndependentChannels(channels)


def of_four_levels(channels):
    return Categoricals(channels, 4)


def mixture_of_four_levels(channels):
    return LogisticMixtures(channels, 2, 4)


PIXELVAE = partial(
    vaes.pixelvae,
    latent=3,
    strides=(2,),
    decoder_channels=4,
    network=partial(GatedPixelCNN, channels=4, layers=2, kernel=3),
)
LATENT_MAPS = partial(
    vaes.vae,
    latent=2,
    channels=4,
    strides=(2,),
    spatial=True,
    prior=partial(pixelcnn_prior, channels=4, layers=2),
)


PAIRS: dict[str, Callable[[tuple[int, ...]], Any]] = {
    "vae": vae,
    "vae, learned prior": lambda shape: vae(shape, prior=LearnedNormal(4)),
    "vae, mixture prior": lambda shape: vae(shape, prior=MixtureOfGaussians(4, components=3)),
    "vae, vamp prior": with_vamp_prior,
    "vamp vae": lambda shape: vamp_vae(shape, latent=4, hidden=(5, 6), num_pseudo_inputs=3),
    "vae, flow prior": lambda shape: vae(shape, prior=transformed(StandardNormal(4), couplings())),
    "vae, flow posterior": lambda shape: vae(shape, flows=couplings()),
    "vae, conditional flow posterior": vae_conditional,
    "vae, logistic mixture": lambda shape: vae(shape, likelihood=logistic_mixture),
    "biva of 2 layers": bivas(2),
    "biva of 3 layers": bivas(3),
    "biva of 4 layers": bivas(4, blocks=1),
    "biva of feature maps": bivas(3, spatial=True),
    "biva, logistic mixture": bivas(2, likelihood=logistic_mixture),
    "biva with dropout": bivas(2, dropout_q=0.3, dropout_p=0.2),
    "biva without skips": bivas(3, skips=False),
    "lvae+": hierarchy(lvae, 3),
    "lvae": hierarchy(lvae, 3, skips=False),
    "lvae+ of feature maps": hierarchy(lvae, 2, spatial=True),
    "ladder vae": hierarchy(ladder_vae, 3),
    "ladder vae of feature maps": hierarchy(ladder_vae, 3, spatial=True),
    "hierarchical vae": hierarchy(hierarchical_vae, 3),
    "hierarchical vae, markov": hierarchy(hierarchical_vae, 3, skips=False),
    "linear vae": partial(linear_vae, latent=3),
    "iwae": lambda shape: iwae(shape, latents=(3,), hidden=(4,)),
    "iwae of 2 layers, sylvester posteriors": lambda shape: iwae(
        shape, latents=(4, 3), hidden=(6, 5), posterior=partial(sylvester_posterior, columns=2, context=3)
    ),
    "iwae of 3 layers": lambda shape: iwae(shape, latents=(4, 3, 2), hidden=(6, 5, 4)),
    "nvae": nvaes(),
    "nvae, flow posterior": nvaes(flows=1),
    "nvae, absolute, logistic mixture": nvaes(law=absolute, likelihood=mixture_of_four_levels),
    "hvae + vamp": lambda shape: hvae_vamp(shape, latents=(3, 2), hidden=5, num_pseudo_inputs=3),
    "convolutional hvae + vamp": lambda shape: conv_hvae_vamp(
        shape, latents=(3, 2), hidden=5, channels=(2, 3, 2, 3), num_pseudo_inputs=3
    ),
    "pixel hvae + vamp": lambda shape: pixel_hvae_vamp(
        shape, latents=(3, 2), hidden=5, channels=(2, 3, 2, 4), layers=2, num_pseudo_inputs=3
    ),
    "vdvae": vdvaes(),
    "iaf-vae, flow posterior": iaf_vaes(),
    "iaf-vae, diagonal": iaf_vaes(flows=0),
    "density": density,
    "density, learned noise": lambda shape: density(shape, noise=learned_noise(shape)),
    "pixelcnn": pixels(PixelCNN, blocks=2, head=4),
    "pixelcnn, categorical": pixels(PixelCNN, of_four_levels, blocks=1, head=4),
    "gated pixelcnn, logistic mixture": pixels(GatedPixelCNN, mixture_of_four_levels, layers=2, head=4),
    "pixelcnnpp with dropout": pixels(
        PixelCNNpp, independent_channels, resnets=1, resolutions=2, dropout=0.3
    ),
    "row lstm": pixels(RowLSTM, layers=2, head=4),
    "diagonal bilstm": pixels(DiagonalBiLSTM, layers=1, head=4),
    "wavenet": pixels(WaveNet, dilations=(1, 2), skip=4, head=4),
    "made": partial(autoregressive, network=partial(MADE, hidden=(9,))),
    "pixelvae": PIXELVAE,
    "vae, pixelcnn prior": LATENT_MAPS,
}

WITHOUT_MEAN = ("pixelvae", "pixel hvae + vamp")  # of the likelihood: their pictures are draws
WITHOUT_LEVELS = ("linear vae",)  # whose images are real numbers of any size
SHARING = [name for name in PAIRS if "vamp" in name]  # whose prior is made of the guide's own head

DENSITIES = [name for name, build in PAIRS.items() if getattr(build, "func", None) is autoregressive]

WITHOUT_DROPOUT = [name for name in PAIRS if "dropout" not in name]

SMALLER: dict[str, dict[str, Any]] = {  # the first that a name begins with counts
    "vae_mlp": {"hidden": (4,)},
    "vae_iaf_mnist_diagonal": {"channels": 4},
    "vae_iaf": {"channels": 4, "posterior.hidden": (4,), "posterior.context": 3},
    "vae_auxiliary": {"hidden": 4},
    "iwae2": {"hidden": (4, 4)},
    "iwae": {"hidden": (4,)},
    "vamp_vae": {"hidden": (4, 4), "num_pseudo_inputs": 3},
    "hvae_vamp": {"hidden": 4, "num_pseudo_inputs": 3},
    "conv_hvae_vamp": {"hidden": 4, "num_pseudo_inputs": 3, "channels": (2, 2, 2, 2)},
    "pixel_hvae_vamp": {"hidden": 4, "num_pseudo_inputs": 3, "channels": (2, 2, 2, 2), "layers": 2},
    "beta_vae": {"channels": 4},
    "sa_vae": {"channels": 4, "layers": 2, "latent": 3, "decoder_channels": 4, "refinements": 2},
    "delta_vae": {"channels": 4, "layers": 2, "latent": 2, "length": 3, "decoder_channels": 4},
    "lossy_vae": {"channels": 4, "latent": 3, "decoder_channels": 4},
    "lagging_vae": {"channels": 4, "layers": 2, "latent": 3, "decoder_channels": 4, "inner_steps": 1},
    "biva": {"filters": 4, "blocks": 1},
    "nvae": {"groups": (1, 1), "channels": 4, "latent": 2},
    "vdvae": {"blocks": (1, 1, 1), "encoder_blocks": (1, 1, 1), "factors": (2, 4), "width": 8, "latent": 2},
    "iaf_vae": {"blocks": (1, 1), "width": 4, "latent": 2, "hidden": (4,)},
    "lvae": {"filters": 4, "blocks": 1},
    "m2": {"hidden": (4,)},
    "m1_m2": {"hidden": (4,)},
    "adgm": {"hidden": (4,)},
    "sdgm": {"hidden": (4,)},
    "ladder_vae": {"filters": 4, "blocks": 1},
    "hierarchical_vae": {"filters": 4, "blocks": 1},
    "pixelcnnpp": {"channels": 4, "resnets": 1, "resolutions": 2},
    "pixelcnn": {"channels": 4, "blocks": 1, "head": 4},
    "gated_pixelcnn": {"channels": 4, "layers": 2, "head": 4},
    "row_lstm": {"channels": 4, "layers": 1, "head": 4},
    "diagonal_bilstm": {"channels": 4, "layers": 1, "head": 4},
    "wavenet": {"channels": 4, "dilations": (1, 2), "skip": 4, "head": 4},
    "made": {"hidden": (4,)},
    "pixelvae": {"channels": 4, "layers": 2, "latent": 3, "decoder_channels": 4},
    "vae": {"channels": 4},
    "nice": {"layers": 2, "hidden": (4,)},
    "real_nvp": {"layers": 1, "scales": None, "hidden": (4,)},
    "glow": {"depth": 1, "scales": None, "hidden": (4,)},
    "flow_plus_plus": {
        "layers": (1, 1, 1),
        "components": 2,
        "width": 4,
        "blocks": 1,
        "noise_layers": 2,
        "noise_channels": 4,
    },
    "maf": {"layers": 2, "hidden": (4,)},
}


def experiment(name: str, shape: tuple[int, ...] | None = None, **options: Any) -> Any:
    """The system of an experiment, with few channels where its family is known here."""
    families = [family for family in SMALLER if name.startswith(family)]
    return build(name, shape, **(SMALLER[families[0]] if families else {}), **options)


EXPERIMENTS = names()
DATA_SETS = {"digits", "mnist", "cifar10", "celeba64", "celebahq256", "ffhq256", "imagenet32", "imagenet64"}


def family(name: str) -> str:
    """What an experiment trains: the experiments of a family differ in data, sizes and recipe."""
    return "_".join(itertools.takewhile(lambda word: word not in DATA_SETS, name.split("_")))


# one experiment a family, of the smallest images that it has
ONE_A_FAMILY = sorted(
    {family(name): name for name in sorted(EXPERIMENTS, key=lambda n: "digits" in n)}.values()
)


def pair(name: str, shape: tuple[int, ...] = IMAGE, *, dtype: torch.dtype = torch.float64) -> Any:
    """Model and guide in evaluation mode, the same ones at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, guide = PAIRS[name](shape)
    return model.to(dtype).eval(), guide.to(dtype).eval()


def images(n: int = 3, shape: tuple[int, ...] = IMAGE, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random images of two levels, -1 and 1 being on every grid and 0 and 1 binary: see `images_for`."""
    generator = torch.Generator().manual_seed(n)
    return torch.rand(n, *shape, generator=generator).round().to(dtype)


def images_for(name: str, n: int = 3, shape: tuple[int, ...] = IMAGE, **options: Any) -> Tensor:
    """Images that the likelihood of a pair takes."""
    x = images(n, shape, **options)
    return 2 * x - 1 if takes_grid(name) else x


def takes_grid(name: str) -> bool:
    """Whether the images of a pair are on the grid -1 .. 1; binary or unit intervals are 0 .. 1."""
    return "logistic" in name or "categorical" in name


def images_of(system: Any, n: int = 2) -> Tensor:
    """Images that a system takes, in float32."""
    x = images(n, system.image_shape, dtype=torch.float32)
    return 2 * x - 1 if system.model.takes == "grid" else x


@functools.cache
def layers(name: str) -> int:
    """The number of a pair's latent layers."""
    return count_layers(*pair(name), images_for(name, 1))


class Answers(nn.Module):
    """A posterior of any family: raw parameters of the image to a distribution."""

    def __init__(self, parameters: int, distribution: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(30, parameters))
        self.law = distribution

    def encode(self, x: Tensor) -> Tensor:
        return self.net(x)

    def distribution(self, parameters: Tensor) -> Any:
        return self.law(parameters)

    def forward(self, x: Tensor) -> Any:
        return self.distribution(self.encode(x))


def positive(raw: Tensor) -> Tensor:
    return nn.functional.softplus(raw) + 0.5


FAMILIES: dict[str, tuple[int, Callable[[Tensor], Any]]] = {
    "normal": (8, lambda r: dist.Normal(r[:, :4], positive(r[:, 4:])).to_event(1)),
    "laplace": (8, lambda r: dist.Laplace(r[:, :4], positive(r[:, 4:])).to_event(1)),
    "gamma": (8, lambda r: dist.Gamma(positive(r[:, :4]), positive(r[:, 4:])).to_event(1)),
    "beta": (8, lambda r: dist.Beta(positive(r[:, :4]), positive(r[:, 4:])).to_event(1)),
    "uniform": (4, lambda r: dist.Uniform(r - 1, r + 1).to_event(1)),
    "exponential": (4, lambda r: dist.Exponential(positive(r)).to_event(1)),
    "student": (4, lambda r: dist.StudentT(3.0, r, positive(r)).to_event(1)),
    "multivariate": (4, lambda r: dist.MultivariateNormal(r, torch.eye(4).to(r))),
    "categorical": (12, lambda r: dist.Categorical(logits=r.view(-1, 4, 3)).to_event(1)),
    "one categorical": (3, lambda r: dist.Categorical(logits=r)),
    "bernoulli": (4, lambda r: dist.Bernoulli(logits=r).to_event(1)),
    "poisson": (4, lambda r: dist.Poisson(positive(r)).to_event(1)),
    "von mises": (8, lambda r: dist.VonMises(r[:, :4], positive(r[:, 4:])).to_event(1)),
    "asymmetric laplace": (
        12,
        lambda r: dist.AsymmetricLaplace(r[:, :4], positive(r[:, 4:8]), positive(r[:, 8:])).to_event(1),
    ),
    "mixture of normals": (
        18,
        lambda r: dist.MixtureOfDiagNormals(
            r[:, :8].reshape(-1, 2, 4), positive(r[:, 8:16]).reshape(-1, 2, 4), r[:, 16:]
        ),
    ),
}


class FamilyPrior(nn.Module):
    """The same family with all parameters equal to 0.3."""

    def __init__(self, family: str) -> None:
        super().__init__()
        self.size, self.law = FAMILIES[family]

    def forward(self) -> Any:
        p = self.law(torch.full((1, self.size), 0.3, dtype=torch.float64))
        return WithoutBatch(p)


class WithoutBatch:
    """A distribution of batch shape (1,) as a prior, batch shape ()."""

    def __init__(self, p: Any) -> None:
        self.p = p

    def expand(self, batch: Any) -> Any:
        return self.p.expand(torch.Size(batch))


class Linear(nn.Module):
    """Logits that depend on z, of any shape and type."""

    out_shape = IMAGE

    def forward(self, z: Tensor) -> Tensor:
        z = z.reshape(len(z), -1).sum(1).double()
        return (z.view(-1, 1, 1, 1) - 1) * torch.linspace(-1, 1, 30, dtype=torch.float64).view(IMAGE)


def family_pair(family: str) -> Any:
    """A VAE whose posterior is of that family; for "uniform" the prior is wide enough to hold it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guide = AmortizedGuide(Answers(*FAMILIES[family])).double()
    prior = FamilyPrior("normal" if family == "uniform" else family)
    return VAE(prior, BernoulliLikelihood(Linear())), guide
