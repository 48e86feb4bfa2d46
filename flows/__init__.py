"""Normalizing flows: Pyro transforms with parameters, for priors, posteriors and densities alike."""

from flows.act_norm import ActNorm
from flows.autoregressive import IAF, MAF, Autoregressive
from flows.builders import flow_plus_plus, glow, iaf, maf, nice, planar, real_nvp
from flows.composed import Composed
from flows.coupling import AdditiveCoupling, AffineCoupling, Coupling
from flows.dequantization import Quantized, UniformDequantization, VariationalDequantization
from flows.flow import Flow, Inverse
from flows.invertible_convolution import InvertibleConv
from flows.logistic_mixture_coupling import LogisticMixtureCoupling
from flows.logit import Logit
from flows.multi_scale import OnChannels, multi_scale
from flows.partitions import Alternate, Halves, Masked, checkerboard
from flows.permutation import Permutation
from flows.planar import Planar
from flows.radial import Radial
from flows.reshape import Reshape
from flows.scaling import Scaling
from flows.spline import SplineAutoregressive, SplineCoupling
from flows.squeeze import Squeeze
from flows.transformed import Transformed, transformed

__all__ = [
    "IAF",
    "MAF",
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Alternate",
    "Autoregressive",
    "Composed",
    "Coupling",
    "Flow",
    "Halves",
    "Inverse",
    "InvertibleConv",
    "LogisticMixtureCoupling",
    "Logit",
    "Masked",
    "OnChannels",
    "Permutation",
    "Planar",
    "Quantized",
    "Radial",
    "Reshape",
    "Scaling",
    "SplineAutoregressive",
    "SplineCoupling",
    "Squeeze",
    "Transformed",
    "UniformDequantization",
    "VariationalDequantization",
    "checkerboard",
    "flow_plus_plus",
    "glow",
    "iaf",
    "maf",
    "multi_scale",
    "nice",
    "planar",
    "real_nvp",
    "transformed",
]
