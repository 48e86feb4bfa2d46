"""BIVA of twenty layers on CelebA of 64x64 pixels (arXiv:1902.02102 reports one; the layout here is ours).

    zoo train biva_celeba64 --set data=PATH

The published CIFAR-10 model with five more layers of 32x32 in front. The images are not downloaded: PATH is a
folder of faces cropped to 64x64, an .npz or an .npy.

Not run here yet.
"""

from zoo.experiments.experiment import Experiment
from zoo.experiments.hierarchies import PAPER_CIFAR10, PAPER_OBJECTIVE, PAPER_TRAINING
from zoo.options.data import DataOptions
from zoo.options.hierarchy import BIVAOptions

EXPERIMENT = Experiment(
    summary="twenty-layer BIVA, layout of ours, CelebA of 64x64 (data=PATH)",
    system=BIVAOptions(
        **PAPER_CIFAR10
        | {
            "latents": (*[38] * 5, *range(38, 8, -2)),
            "strides": (2, *[1] * 4, 2, *[1] * 9, 2, *[1] * 3, 2),
            "kernels": (5, *[3] * 19),
            "head_kernel": 5,
        }
    ),
    data=DataOptions(data="celeba64.npz", binarize="none", validation=5000),
    image_shape=(3, 64, 64),
    objective=PAPER_OBJECTIVE,
    training=PAPER_TRAINING,
    paper="2.48 bits/dim (ELBO)",
)
