"""Complete flows by name: each builder takes an event's shape and returns one transform."""

from flows.builders.autoregressive import iaf, maf
from flows.builders.coupling import nice, real_nvp
from flows.builders.flow_plus_plus import flow_plus_plus
from flows.builders.glow import glow
from flows.builders.planar import planar
from flows.builders.sylvester import sylvester

__all__: list[str] = [
    "flow_plus_plus",
    "glow",
    "iaf",
    "maf",
    "nice",
    "planar",
    "real_nvp",
    "sylvester",
]
