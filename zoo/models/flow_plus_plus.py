"""Flow++ (Ho, Chen, Srinivas, Duan & Abbeel 2019), arXiv:1902.00275.

p(x, y) = P(x | y) p(y),            log p(y) = log N(f(y); 0, I) + log |det df/dy|
q(y | x) = L^D q(u | x),            y = (k + u) / L for the levels k of x,  u = sigmoid(g(e; x)),  e logistic

The couplings of f and g are mixtures of logistics. With g the identity the noise u is uniform: variational
dequantisation starts there.
"""

from typing import Any

from flows import LogisticMixtureCoupling, Logit, builders, checkerboard, transformed
from zoo.conversion import Natural
from zoo.infer.guides import Dequantization
from zoo.models.flow_density import FlowDensity, Levels, LogitAlpha, pixel_density
from zoo.nn.convolutional import ConvEncoder
from zoo.nn.layers import Shape
from zoo.parts.heads import Transformed, Unconditional
from zoo.parts.priors import StandardLogistic
from zoo.settings import passes_on


class FlowPlusPlus(FlowDensity):
    """Mixture-of-logistics couplings over several scales.

    Args:
        image_shape: (C, H, W).
        levels: grey levels of the images.
        alpha: of the logit, `flows.Logit`.
        options: see `flows.builders.flow_plus_plus`.

    Raises:
        ValueError: if there is no such flow of images of that shape.
    """

    @passes_on(builders.flow_plus_plus, supplied=("context",))
    def __init__(
        self, image_shape: Shape, *, levels: Levels = 256, alpha: LogitAlpha = 0.05, **options: Any
    ) -> None:
        flow = builders.flow_plus_plus(image_shape, **options)
        super().__init__(pixel_density(flow, alpha=alpha), levels=levels)


def coupled_noise(
    image_shape: Shape, *, layers: int = 4, channels: int = 32, components: int = 4
) -> Transformed:
    """q(u | x) of variational dequantisation (section 3.1): couplings of checkerboards, given features of x.

    Args:
        image_shape: (C, H, W).
        layers: couplings; the paper has 4.
        channels: of the networks and of the features of x.
        components: of each mixture.
    """
    features = ConvEncoder(image_shape, channels=channels, strides=(1, 1))
    couplings = [
        LogisticMixtureCoupling(
            image_shape,
            components=components,
            mask=checkerboard(image_shape, flip=bool(i % 2)),
            hidden=(channels, channels),
            context=features.out_shape,
        ).inv  # in this direction a sample is one call of the mixture
        for i in range(layers)
    ]
    unit = Logit(image_shape, alpha=0.0)
    return transformed(Unconditional(StandardLogistic(image_shape)), [*couplings, unit], context=features)


@passes_on(FlowPlusPlus)
def flow_plus_plus(
    image_shape: Shape,
    *,
    noise_layers: Natural = 4,
    noise_channels: int = 32,
    noise_components: int = 4,
    **options: Any,
) -> tuple[FlowPlusPlus, Dequantization]:
    """Model and guide.

    Args:
        image_shape: (C, H, W).
        noise_layers: couplings of the dequantisation noise, see `coupled_noise`; 0 for uniform noise.
        noise_channels: channels of the noise's networks.
        noise_components: components of the noise's mixtures.
        options: see `FlowPlusPlus`.
    """
    noise = None
    if noise_layers:
        sizes = {"layers": noise_layers, "channels": noise_channels, "components": noise_components}
        noise = coupled_noise(image_shape, **sizes)
    model = FlowPlusPlus(image_shape, **options)
    return model, Dequantization(model.levels, noise=noise)
