"""Normalizing flows: Pyro transforms with parameters, for priors, posteriors and densities alike."""

from flows.act_norm import ActNorm
from flows.autoregressive import IAF, MAF, Autoregressive
from flows.bases import Axes, Orthogonal, Reflections
from flows.builders import flow_plus_plus, glow, iaf, maf, nice, planar, real_nvp, sylvester
from flows.composed import Composed
from flows.coupling import AdditiveCoupling, AffineCoupling, Coupling
from flows.dequantization import Quantized, UniformDequantization, VariationalDequantization
from flows.flow import Flow, Inverse
from flows.householder import Householder
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
from flows.sylvester import Sylvester
from flows.transformed import Transformed, transformed

__all__ = [
    "IAF",
    "MAF",
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Alternate",
    "Autoregressive",
    "Axes",
    "Composed",
    "Coupling",
    "Flow",
    "Halves",
    "Householder",
    "Inverse",
    "InvertibleConv",
    "LogisticMixtureCoupling",
    "Logit",
    "Masked",
    "OnChannels",
    "Orthogonal",
    "Permutation",
    "Planar",
    "Quantized",
    "Radial",
    "Reflections",
    "Reshape",
    "Scaling",
    "SplineAutoregressive",
    "SplineCoupling",
    "Squeeze",
    "Sylvester",
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
    "sylvester",
    "transformed",
]
