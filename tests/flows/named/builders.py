"""Whole flows."""

from functools import partial

from flows.builders import flow_plus_plus, glow, nice, real_nvp, sylvester
from tests.flows.named.case import Case

CASES = {
    "NICE": Case(lambda: nice(5, hidden=(8,))),
    "NICE of images, given a vector": Case(lambda: nice((1, 2, 3), layers=2, hidden=(8,), context=2)),
    "RealNVP": Case(lambda: real_nvp(5, layers=3, hidden=(8,), context=2)),
    "RealNVP of images": Case(lambda: real_nvp((1, 4, 4), layers=1, hidden=(4,))),
    "RealNVP of images with odd sides": Case(lambda: real_nvp((2, 3, 3), layers=1, hidden=(4,), context=2)),
    "Glow of vectors": Case(lambda: glow(4, depth=2, hidden=(8,), context=2)),
    "Glow": Case(partial(glow, (1, 4, 4), depth=1, hidden=(4,), scales=2)),
    "Glow given a map": Case(partial(glow, (1, 4, 2), depth=1, hidden=(4,), context=(2, 4, 2))),
    "Flow++ of vectors": Case(
        lambda: flow_plus_plus(4, layers=(1, 0, 1), components=2, width=8, context=2), atol=1e-8
    ),
    "Flow++": Case(
        lambda: flow_plus_plus((1, 4, 2), layers=(1, 1, 1), components=2, width=4, blocks=1),
        atol=1e-8,
    ),
    "O-SNF": Case(lambda: sylvester(4, layers=2, columns=2), atol=1e-8, compiles=False),
    "H-SNF given a vector": Case(
        lambda: sylvester(3, layers=2, basis="reflections", columns=2, context=2), atol=1e-8, compiles=False
    ),
    "T-SNF of images": Case(lambda: sylvester((1, 2, 2), layers=2, basis="axes"), atol=1e-8, compiles=False),
}
