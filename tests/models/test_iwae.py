"""The networks of the importance weighted autoencoder."""

import pytest
import torch
from torch import nn

from tests.catalogue import IMAGE, images, pair
from tests.contracts import dependencies
from zoo import BernoulliLikelihood, ConvDecoder, sample
from zoo.errors import UsageError
from zoo.models.iwae import iwae

MNIST = (1, 28, 28)


@pytest.mark.parametrize(
    ("sizes", "count"), [({}, 425_284), ({"latents": (100, 50), "hidden": (200, 100)}, 521_084)]
)
def test_sizes_are_the_papers(sizes, count):
    with torch.device("meta"):
        both = nn.ModuleList(iwae(MNIST, **sizes))
    assert sum(p.numel() for p in both.parameters()) == count


def test_dependencies_are_those_of_two_markov_chains():
    model, guide = pair("iwae of 3 layers")
    assert dependencies(model, guide, images()) == {
        "q(z_1)": {"x"},
        "q(z_2)": {"z_1"},
        "q(z_3)": {"z_2"},
        "p(z_3)": set(),
        "p(z_2)": {"z_3"},
        "p(z_1)": {"z_2"},
        "p(x)": {"z_1"},
    }


def test_a_head_is_the_papers():
    """tanh, tanh, then mean and log sigma, both linear."""
    _, guide = pair("iwae")
    x, head = images(), guide.heads[0]
    first, second, last = (m for m in head.modules() if isinstance(m, nn.Linear))
    parameters = last(second(first(x.flatten(1)).tanh()).tanh())
    q = head(x).base_dist
    torch.testing.assert_close(q.loc, parameters[:, :3])
    torch.testing.assert_close(q.scale, parameters[:, 3:].exp())


def test_weights_start_as_glorots_and_biases_at_zero():
    model, guide = iwae(MNIST)
    for layer in (m for part in (model, guide) for m in part.modules() if isinstance(m, nn.Linear)):
        bound = (6 / sum(layer.weight.shape)) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert (layer.bias == 0).all()


def test_the_output_can_start_at_the_mean_image():
    model, _ = iwae(IMAGE, latents=(3,), hidden=(4,))
    x = images(5, dtype=torch.float32)
    with torch.no_grad():
        for layer in model.likelihood.net.parameters():
            layer.zero_()  # so that the output is its bias
    model.likelihood.start_at(x)
    probabilities = model.likelihood(torch.zeros(1, 3)).base_dist.probs
    torch.testing.assert_close(probabilities[0], x.mean(0).clamp(0.001, 0.999))
    assert sample(model, 2).shape == (2, *IMAGE)


def test_an_output_that_is_no_dense_layer_cannot_start_there():
    likelihood = BernoulliLikelihood(ConvDecoder(3, IMAGE, channels=4, strides=(2,)), IMAGE)
    with pytest.raises(ValueError, match="one linear layer"):
        likelihood.start_at(images())


@pytest.mark.parametrize("sizes", [{"latents": ()}, {"latents": (3, 2)}, {"latents": (), "hidden": ()}])
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(UsageError, match="one width in hidden"):
        iwae(IMAGE, **sizes)
