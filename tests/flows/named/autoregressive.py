"""Autoregressive flows, of vectors and of images."""

from flows import IAF, MAF, Autoregressive
from flows.builders import iaf, maf
from flows.nn.made import MADE
from flows.nn.masked_conv import MaskedConvNet
from flows.univariate import Additive
from tests.flows.named.case import Case

CASES = {
    "IAF of 1": Case(lambda: IAF(1), compiles=False, elementwise=False),
    "conditional IAF of 1": Case(lambda: IAF(1, hidden=(4,), context=2), compiles=False, elementwise=False),
    "IAF of 5": Case(lambda: IAF(5, hidden=(12, 12)), compiles=False, elementwise=False),
    "reversed conditional IAF, narrow": Case(
        lambda: IAF(5, hidden=(3, 9), reverse=True, context=3), compiles=False, elementwise=False
    ),
    "IAF without hidden layers": Case(
        lambda: IAF(4, hidden=(), context=2), compiles=False, elementwise=False
    ),
    "additive autoregressive": Case(
        lambda: Autoregressive(4, Additive(), hidden=(8,)), compiles=False, elementwise=False
    ),
    "IAF in an order of its own": Case(
        lambda: IAF(4, net=MADE(4, 2, hidden=(8,), order=[2, 0, 3, 1])), compiles=False, elementwise=False
    ),
    "MAF of 5": Case(lambda: MAF(5, hidden=(12, 12))),
    "conditional MAF": Case(lambda: MAF(4, hidden=(8,), reverse=True, context=2)),
    "IAF of gray images": Case(lambda: IAF((1, 3, 3), hidden=(6,)), compiles=False, elementwise=False),
    "IAF of colors given a map": Case(
        lambda: IAF((2, 2, 3), hidden=(4, 4), reverse=True, context=(3, 2, 3)),
        compiles=False,
        elementwise=False,
    ),
    "MAF of colors given a vector": Case(lambda: MAF((3, 2, 2), hidden=(6,), context=2)),
    "MAF of images, wide kernel": Case(
        lambda: MAF((1, 3, 3), net=MaskedConvNet((1, 3, 3), 2, hidden=(5, 4), kernel=5))
    ),
    "iaf": Case(lambda: iaf(4, hidden=(8,), context=2), compiles=False, elementwise=False),
    "maf": Case(lambda: maf(4, layers=3, hidden=(8,))),
    "iaf of images": Case(
        lambda: iaf((2, 2, 2), hidden=(4,), context=(1, 2, 2)), compiles=False, elementwise=False
    ),
}
