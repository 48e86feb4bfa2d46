"""ELU, eager and as it is written for the compiler."""

import torch
import torch.nn.functional as F

from zoo.nn.activations import elu


def test_the_compiled_elu_is_the_eager_one_with_its_gradient():
    x = torch.tensor([-200.0, -3.0, -1e-4, 0.0, 1e-4, 3.0, 200.0], requires_grad=True)
    compiled = torch.compile(elu, backend="aot_eager", fullgraph=True)
    (expected,) = torch.autograd.grad(F.elu(x).sum(), x)
    (ours,) = torch.autograd.grad(compiled(x).sum(), x)
    torch.testing.assert_close(compiled(x), F.elu(x), atol=1e-7, rtol=1e-6)
    torch.testing.assert_close(ours, expected, atol=1e-7, rtol=1e-6)
