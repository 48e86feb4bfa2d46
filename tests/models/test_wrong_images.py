"""Images of a shape or type that a system was not made for are refused in a line."""

import pytest
import torch
from torch import nn

from tests.catalogue import images_for, pair
from zoo import ELBO, BernoulliLikelihood, FullCovarianceHead, LabelHead, NormalHead

# one system of every way to read images
SYSTEMS = [
    *(
        "vae",
        "vamp vae",
        "biva of 2 layers",
        "lvae+",
        "hierarchical vae",
        "nvae",
        "vdvae",
        "iaf-vae, diagonal",
    ),
    *("convolutional hvae + vamp", "density", "made"),
]


@pytest.mark.parametrize("name", SYSTEMS)
def test_images_of_another_shape_are_refused(name):
    model, guide = pair(name)
    x = images_for(name)
    c, h, w = x.shape[1:]
    loss = ELBO()(model, guide)
    wrong = {
        "narrow": (x[..., :-1], rf"got \(3, {c}, {h}, {w - 1}\), torch.float64$"),
        "of more channels": (x.repeat(1, 2, 1, 1), rf"got \(3, {2 * c}, {h}, {w}\)"),
        "one image": (x[0], r"x\[None\] is a batch of one image$"),
        "bytes": (x.byte(), "encode them first"),
    }
    for images, message in wrong.values():
        with pytest.raises(ValueError, match=rf"images of shape \(B, {c}, {h}, {w}\).*{message}"):
            loss(images)


@pytest.mark.parametrize(
    "make",
    [
        lambda net: NormalHead(net, 2),
        lambda net: FullCovarianceHead(net, 2),
        lambda net: LabelHead(net, 3),
        lambda net: BernoulliLikelihood(net, (1, 2, 2)),
    ],
)
def test_a_network_that_does_not_say_what_it_returns_is_named(make):
    with pytest.raises(
        TypeError, match=r"a network with an attribute out_shape.*got Linear: set its out_shape"
    ):
        make(nn.Linear(3, 4))
    named = nn.Linear(3, 4)
    named.out_shape = (4,)
    assert torch.is_tensor(next(make(named).parameters()))
