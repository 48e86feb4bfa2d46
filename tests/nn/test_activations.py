"""ELU and GELU, eager and as they are written for the compiler."""

import pytest
import torch
import torch.nn.functional as F

from zoo.nn.activations import GELU, WrittenGELU, elu

X = [-200.0, -9.0, -3.0, -0.5, -1e-4, 0.0, 1e-4, 0.7, 3.0, 200.0]


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # by the compiler of PyTorch 2.11
@pytest.mark.parametrize(("ours", "known"), [(elu, F.elu), (GELU(), F.gelu)])
def test_the_compiled_activation_is_the_eager_one_with_its_gradient(ours, known):
    x = torch.tensor(X, requires_grad=True)
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    (expected,) = torch.autograd.grad(known(x).sum(), x)
    (found,) = torch.autograd.grad(compiled(x).sum(), x)
    torch.testing.assert_close(compiled(x), known(x), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_the_written_gelu_is_as_near_as_its_polynomial_and_its_gradient_is_its_derivative():
    x = torch.linspace(-10, 10, 2001, dtype=torch.float64, requires_grad=True)
    error = WrittenGELU.apply(x) - F.gelu(x)
    assert (error.abs() <= 7.5e-8 * x.abs()).all()
    (gradient,) = torch.autograd.grad(WrittenGELU.apply(x).sum(), x)
    (exact,) = torch.autograd.grad(F.gelu(x).sum(), x)
    torch.testing.assert_close(gradient, exact, atol=1e-7, rtol=0)


def test_an_eager_gelu_is_pytorchs():
    x = torch.tensor(X)
    assert torch.equal(GELU()(x), F.gelu(x))
