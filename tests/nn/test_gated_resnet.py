"""The gated residual block between maps of any two resolutions."""

import pytest
import torch
import torch.nn.functional as F

from zoo.nn.gated_resnet import GatedResNet, Shortcut
from zoo.nn.layers import strided

SIDES = [28, 14, 7, 4, 3, 2, 1]
STRIDES = [1, 2, 3]


def sizes():
    for height in SIDES:
        for stride in STRIDES:
            yield (height, height), stride
    yield (6, 1), 2
    yield (1, 5), 2
    yield (9, 8), 4


between = pytest.mark.parametrize(("size", "stride"), list(sizes()), ids=str)


def small(size, stride):
    return strided((1, *size), stride)[1:]


@between
@pytest.mark.parametrize("kernel", [3, 5])
def test_downward_and_upward_shapes_are_exact(size, stride, kernel):
    large, less = (2, *size), (3, *small(size, stride))
    assert GatedResNet(large, less, kernel=kernel)(torch.randn(2, *large)).shape == (2, *less)
    assert GatedResNet(less, large, kernel=kernel)(torch.randn(2, *less)).shape == (2, *large)


@between
@pytest.mark.parametrize("out_channels", [1, 2, 4])
def test_auxiliary_features_of_any_resolution_reach_the_output(size, stride, out_channels):
    inner = small(size, stride)
    for aux_size in (size, inner, small(inner, 2)):
        aux_shape = (5, *aux_size)
        block = GatedResNet((2, *inner), (out_channels, *inner), aux_shape=aux_shape)
        aux = torch.randn(2, *aux_shape, requires_grad=True)
        block(torch.randn(2, 2, *inner), aux).square().sum().backward()
        assert (aux.grad != 0).any()
        assert all((p.grad != 0).any() for p in block.parameters())


def test_block_is_the_papers_formula():
    block = GatedResNet((3, 5, 5), (3, 5, 5), aux_shape=(2, 5, 5))
    x, aux = torch.randn(2, 3, 5, 5), torch.randn(2, 2, 5, 5)
    u = block.first(F.elu(x)) + block.aux(F.elu(aux))
    a, b = block.second(F.elu(u)).split(3, dim=1)
    torch.testing.assert_close(block(x, aux), x + a * torch.sigmoid(b))


def test_without_a_shortcut_the_input_is_not_added():
    torch.manual_seed(0)
    plain = GatedResNet((3, 4, 4), (3, 4, 4), residual=False)
    torch.manual_seed(0)
    residual = GatedResNet((3, 4, 4), (3, 4, 4))
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(residual(x), x + plain(x))


SHORTCUTS = {
    "none": lambda block, x: torch.zeros(()),
    "project": lambda block, x: F.conv2d(F.avg_pool2d(x, 2), *block.shortcut[1].parameters()),
    "pad": lambda block, x: torch.cat([F.avg_pool2d(x, 2), x.new_zeros(2, 2, 2, 2)], dim=1),
}


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_where_channels_grow_the_shortcut_is_what_was_asked_for(shortcut):
    plain = GatedResNet((3, 4, 4), (5, 2, 2), residual=False)
    block = GatedResNet((3, 4, 4), (5, 2, 2), shortcut=shortcut)
    block.load_state_dict(plain.state_dict(), strict=shortcut != "project")
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(x), SHORTCUTS[shortcut](block, x) + plain(x))


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_shortcut_is_left_out_where_channels_would_be_lost(shortcut):
    assert GatedResNet((3, 4, 4), (2, 4, 4), shortcut=shortcut).shortcut is None


def test_another_shortcut_is_refused():
    with pytest.raises(ValueError, match="none, project or pad; got 'identity'"):
        GatedResNet((3, 4, 4), (4, 4, 4), shortcut="identity")


def test_auxiliary_features_may_be_left_out():
    block = GatedResNet((3, 4, 4), (3, 4, 4), aux_shape=(2, 4, 4))
    assert block(torch.randn(1, 3, 4, 4)).shape == (1, 3, 4, 4)


def test_shortcut_averages_repeats_and_pads():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    down = Shortcut((2, 2, 2))(x)
    assert torch.equal(down[0, 0], torch.tensor([[2.5, 4.5], [10.5, 12.5]]))
    assert (down[0, 1] == 0).all()
    up = Shortcut((1, 8, 8))(x)
    assert torch.equal(up[0, 0, ::2, ::2], x[0, 0])
    assert torch.equal(up[0, 0, 1::2, 1::2], x[0, 0])


def test_shortcut_of_an_odd_side_averages_what_is_there():
    assert torch.equal(Shortcut((1, 2, 2))(torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 2, 2))


def test_dropout_acts_in_training_alone():
    block = GatedResNet((3, 4, 4), (3, 4, 4), dropout=0.5)
    x = torch.randn(2, 3, 4, 4)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
