"""Spectral norms against singular values, and how their state is kept."""

import copy

import torch
from torch import nn

from zoo.nn.cells import LogNormConv2d
from zoo.nn.residual_cells import regular_cell, separable_cell
from zoo.nn.spectral import BatchNormScales, SpectralNorms, convolutions, effective


def network():
    torch.manual_seed(0)
    return nn.Sequential(regular_cell(4, 4), separable_cell(4, 4), regular_cell(4, 8, resample=-1))


def largest(net):
    """The sum of the largest singular values."""
    return sum(torch.linalg.svdvals(effective(layer).flatten(1))[0] for layer in convolutions([net]))


def test_power_iteration_finds_the_largest_singular_values_from_below():
    net = network()
    norms, exact = SpectralNorms([net]), largest(net)
    first = norms()
    for _ in range(50):
        last = norms()
    assert 0.99 * exact < first <= exact * (1 + 1e-6)
    assert abs(last / exact - 1) < 1e-3


def test_layers_of_one_shape_are_as_each_by_itself():
    """Also where one of them is shared: it counts once."""
    net = network()
    together = SpectralNorms([net, net[0]], iterations=30)()
    apart = sum(SpectralNorms([layer], iterations=30)() for layer in convolutions([net]))
    torch.testing.assert_close(together, apart, rtol=1e-3, atol=0)


def test_the_gradient_is_the_product_of_the_singular_vectors():
    layer = nn.Conv2d(3, 5, 3).double()
    norms = SpectralNorms([layer], iterations=500)
    (gradient,) = torch.autograd.grad(norms(), layer.weight)
    u, _, v = torch.linalg.svd(layer.weight.flatten(1), full_matrices=False)
    torch.testing.assert_close(gradient.flatten(1), torch.outer(u[:, 0], v[0]), atol=1e-6, rtol=1e-5)


def test_a_weight_normalised_layer_counts_with_the_weight_that_it_uses():
    layer = LogNormConv2d(1, 1, 1)
    layer.log_gain.data.fill_(2.0)
    torch.testing.assert_close(SpectralNorms([layer])(), torch.tensor(2.0).exp())


def test_evaluation_moves_nothing():
    norms = SpectralNorms([network()]).eval()
    before = copy.deepcopy(norms.state_dict())
    norms()
    assert all(torch.equal(before[name], value) for name, value in norms.state_dict().items())


def test_a_resumed_iteration_gives_the_same_bits():
    net = network()
    norms = SpectralNorms([net])
    norms()
    resumed = SpectralNorms([net])
    resumed.load_state_dict(norms.state_dict(), strict=True)
    assert resumed() == norms() != SpectralNorms([net])()


def test_a_copy_follows_the_copied_network():
    pair = nn.ModuleList([network()])
    pair.append(SpectralNorms([pair[0]]))
    copied = copy.deepcopy(pair)
    with torch.no_grad():
        for parameter in copied[0].parameters():
            parameter.mul_(2)
    assert copied[1]() > pair[1]()


def test_the_norms_have_no_parameters_of_their_own():
    assert not list(SpectralNorms([network()]).parameters())


def test_the_scales_of_batch_normalisation_are_their_largest_each():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2), nn.BatchNorm2d(3))
    for layer, scale in zip(net, ([1.0, -4.0], [0.5, 0.25], [1.0, 2.0, 3.0]), strict=True):
        layer.weight.data = torch.tensor(scale)
    assert BatchNormScales([net])() == 4 + 0.5 + 3


def test_without_layers_there_is_nothing_to_pay():
    assert SpectralNorms([])() == BatchNormScales([nn.Linear(2, 2)])() == 0
