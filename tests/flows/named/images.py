"""What image flows are made of."""

from flows import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Alternate,
    Composed,
    InvertibleConv,
    Logit,
    OnChannels,
    Reshape,
    Scaling,
    Squeeze,
    multi_scale,
)
from flows.nn.gated_conv import GatedConvNet
from tests.flows.named.case import Case


def _gated_coupling(**options):
    net = GatedConvNet((1, 2, 2), (2, 2, 2), width=4, blocks=1, **options)
    return AffineCoupling((2, 2, 2), net=net, context=options.get("context"))


def _couplings_at_scales(context):
    def steps(shape):
        return [AffineCoupling(shape, flip=True, hidden=(4,), context=context), InvertibleConv(shape)]

    return multi_scale((1, 4, 4), steps, scales=2, outside=lambda shape: [Scaling(shape)])


CASES = {
    "squeeze": Case(lambda: Squeeze((2, 4, 2))),
    "squeeze by 3": Case(lambda: Squeeze((1, 3, 3), factor=3)),
    "reshape": Case(lambda: Reshape((2, 1, 3), 6)),
    "to an interval and back": Case(lambda: Composed([Logit(4), Logit(4).inv]), reach=10.0),
    "scaling": Case(lambda: Scaling(4)),
    "scaling of images": Case(lambda: Scaling((2, 2, 1))),
    "actnorm": Case(lambda: ActNorm(4)),
    "actnorm of images": Case(lambda: ActNorm((2, 2, 3))),
    "inverse of actnorm": Case(lambda: ActNorm((2, 2, 1)).inv),
    "linear map": Case(lambda: InvertibleConv(5)),
    "1x1 convolution": Case(lambda: InvertibleConv((4, 2, 3))),
    "inverse of a 1x1 convolution": Case(lambda: InvertibleConv((3, 2, 1)).inv),
    "coupling of odd and even": Case(lambda: AdditiveCoupling(5, mask=Alternate((5,)), hidden=(8,))),
    "coupling of even and odd": Case(
        lambda: AffineCoupling(5, mask=Alternate((5,), flip=True), hidden=(8,), context=2)
    ),
    "on some channels": Case(lambda: OnChannels(AffineCoupling((2, 2, 2), hidden=(4,)), 3)),
    "on all channels": Case(lambda: OnChannels(ActNorm((2, 2, 2)), 2)),
    "on some features, given a vector": Case(
        lambda: OnChannels(AffineCoupling(3, hidden=(8,), context=2), 4)
    ),
    "two scales": Case(lambda: _couplings_at_scales(None)),
    "two scales, given a map": Case(lambda: _couplings_at_scales((2, 4, 4))),
    "gated convolutions": Case(_gated_coupling),
    "gated convolutions with attention": Case(
        lambda: _gated_coupling(heads=2, context=(1, 2, 2)),
        elementwise=False,  # PyTorch's attention warns that it is slow in a vmap
    ),
}
