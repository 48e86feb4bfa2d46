# ruff: noqa: F401  (the imports under TYPE_CHECKING tell tools where lazy names live)
"""A zoo of deep generative models as pairs of Pyro programs, `model` and `guide`.

Names are imported when first asked for: the command line answers ``--help`` without PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.activity import active_units
    from zoo.compilation import compile_loss
    from zoo.data import load_data
    from zoo.families import Bernoullis, Categoricals, LogisticMixtures, Normals
    from zoo.guides import AmortizedGuide, Dequantization, Guide
    from zoo.heads import Behind, NormalHead, Transformed, transformed
    from zoo.importance import LogLikelihood, log_likelihood, log_weights
    from zoo.initialisation import initialise
    from zoo.labels import LabelHead, UniformLabels
    from zoo.latents import decode, encode, interpolate, resample
    from zoo.layers_above import above
    from zoo.likelihoods import (
        AutoregressiveLikelihood,
        BernoulliLikelihood,
        LogisticMixtureLikelihood,
        PixelLikelihood,
    )
    from zoo.models.autoregressive import AutoregressiveDensity, NoLatents
    from zoo.models.auxiliary import ADGM, SDGM, AuxiliaryGuide
    from zoo.models.biva import BIVA, BIVAGuide
    from zoo.models.flow_density import FlowDensity
    from zoo.models.flow_plus_plus import FlowPlusPlus
    from zoo.models.glow import Glow
    from zoo.models.hierarchical_vae import BottomUpGuide, HierarchicalVAE
    from zoo.models.hierarchy import Hierarchy
    from zoo.models.ladder_vae import LadderGuide, LadderVAE
    from zoo.models.m2 import M1M2, M2, M1M2Guide, M2Guide
    from zoo.models.maf import MAF
    from zoo.models.nice import NICE
    from zoo.models.real_nvp import RealNVP
    from zoo.models.semi_supervised_biva import SemiSupervisedBIVA, SemiSupervisedBIVAGuide
    from zoo.models.vae import VAE
    from zoo.nn.causal import DiagonalBiLSTM, GatedPixelCNN, PixelCNN, PixelCNNpp, RowLSTM, WaveNet
    from zoo.nn.convolutional import ConvDecoder, ConvEncoder
    from zoo.objectives import ELBO, ImportanceWeighted
    from zoo.priors import LearnedNormal, StandardLogistic, StandardNormal
    from zoo.programs import Program, batch_plate, latent
    from zoo.sampling import complete, reconstruct, sample
    from zoo.schedules import LinearWarmup
    from zoo.semi_supervised import SemiSupervised, classify, error_rate
    from zoo.system import System, build, load
    from zoo.training.fit import fit

_HOMES = {
    "activity": ["active_units"],
    "compilation": ["compile_loss"],
    "data": ["load_data"],
    "families": ["Bernoullis", "Categoricals", "LogisticMixtures", "Normals"],
    "guides": ["AmortizedGuide", "Dequantization", "Guide"],
    "heads": ["Behind", "NormalHead", "Transformed", "transformed"],
    "importance": ["LogLikelihood", "log_likelihood", "log_weights"],
    "initialisation": ["initialise"],
    "labels": ["LabelHead", "UniformLabels"],
    "latents": ["decode", "encode", "interpolate", "resample"],
    "layers_above": ["above"],
    "likelihoods": [
        *("AutoregressiveLikelihood", "BernoulliLikelihood", "LogisticMixtureLikelihood", "PixelLikelihood"),
    ],
    "models.autoregressive": ["AutoregressiveDensity", "NoLatents"],
    "models.auxiliary": ["ADGM", "SDGM", "AuxiliaryGuide"],
    "models.biva": ["BIVA", "BIVAGuide"],
    "models.flow_density": ["FlowDensity"],
    "models.flow_plus_plus": ["FlowPlusPlus"],
    "models.glow": ["Glow"],
    "models.hierarchical_vae": ["BottomUpGuide", "HierarchicalVAE"],
    "models.hierarchy": ["Hierarchy"],
    "models.ladder_vae": ["LadderGuide", "LadderVAE"],
    "models.m2": ["M1M2", "M2", "M1M2Guide", "M2Guide"],
    "models.maf": ["MAF"],
    "models.nice": ["NICE"],
    "models.real_nvp": ["RealNVP"],
    "models.semi_supervised_biva": ["SemiSupervisedBIVA", "SemiSupervisedBIVAGuide"],
    "models.vae": ["VAE"],
    "nn.causal": ["DiagonalBiLSTM", "GatedPixelCNN", "PixelCNN", "PixelCNNpp", "RowLSTM", "WaveNet"],
    "nn.convolutional": ["ConvDecoder", "ConvEncoder"],
    "objectives": ["ELBO", "ImportanceWeighted"],
    "priors": ["LearnedNormal", "StandardLogistic", "StandardNormal"],
    "programs": ["Program", "batch_plate", "latent"],
    "sampling": ["complete", "reconstruct", "sample"],
    "schedules": ["LinearWarmup"],
    "semi_supervised": ["SemiSupervised", "classify", "error_rate"],
    "system": ["System", "build", "load"],
    "training.fit": ["fit"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    _require_our_siblings()
    return getattr(importlib.import_module(f"zoo.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]


def _require_our_siblings() -> None:
    """Our `flows` and `distributions`, not another package's of the same short name.

    Raises:
        ImportError: naming the file that is in the way.
    """
    for package, ours in {"distributions": "ResidualNormal", "flows": "AffineCoupling"}.items():
        module = importlib.import_module(package)
        if not hasattr(module, ours):
            raise ImportError(
                f"'{package}' at {module.__file__} is not the package that belongs to zoo: install "
                "pyro-generative-zoo into an environment of its own"
            )
