from functools import partial

import pytest
import torch

from flows.root_finding import solve_increasing
from tests.contracts import assert_equal_up_to_rounding

FUNCTIONS = {
    "steep": lambda x: (torch.sinh(5 * x), torch.log(5 * torch.cosh(5 * x))),
    "nearly a step": lambda x: (
        x + torch.tanh(1e4 * x),
        torch.log1p(4e4 * torch.sigmoid(2e4 * x) * torch.sigmoid(-2e4 * x)),
    ),
    "flat at the root of 0": lambda x: (x**3, torch.log(3 * x**2)),
    "nearly a plateau": lambda x: (x - 0.999 * torch.sin(x), torch.log1p(-0.999 * torch.cos(x))),
    "saturating": lambda x: (torch.atan(x), -torch.log1p(x**2)),
    "straight": lambda x: (3 * x - 1, torch.full_like(x, 3.0).log()),
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_root_solves_the_equation(name, dtype):
    x = torch.cat([torch.linspace(-4, 4, 101, dtype=dtype), torch.tensor([1e-3, -1e-3, 0.0], dtype=dtype)])
    y, _ = FUNCTIONS[name](x)
    found = solve_increasing(FUNCTIONS[name], y, torch.full_like(y, -7.0), torch.full_like(y, 5.0))
    rounding = torch.finfo(dtype).eps * (1 + x.abs()) * FUNCTIONS[name](x)[1].exp()  # of x, seen in y
    error = (FUNCTIONS[name](found)[0] - y).abs() - 4 * rounding
    assert (error <= TOLERANCE[dtype] * (1 + y.abs())).all()


@pytest.mark.parametrize("end", [-2.0, 3.0])
def test_a_root_at_an_end_of_the_bracket_is_found(end):
    f = FUNCTIONS["steep"]
    y, _ = f(torch.tensor([end], dtype=torch.float64))
    bracket = (torch.tensor([value], dtype=torch.float64) for value in (-2.0, 3.0))
    torch.testing.assert_close(solve_increasing(f, y, *bracket).item(), end, rtol=0, atol=1e-12)


def test_a_bracket_of_no_width_is_the_root():
    y = torch.tensor([2.0])
    assert torch.equal(
        solve_increasing(FUNCTIONS["straight"], y, torch.ones(1), torch.ones(1)), torch.ones(1)
    )


def test_gradient_is_that_of_the_implicit_function():
    """In y and in what the function depends on; x^3 + c x = y."""

    def root(y, c):
        f = lambda x: (x**3 + c * x, torch.log(3 * x**2 + c))  # noqa: E731
        return solve_increasing(f, y, -y.abs() - 1, y.abs() + 1)

    y = torch.tensor([-2.0, 0.0, 0.5, 30.0], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([1.0, 2.0, 1.0, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(root, (y, c))


def test_few_calls_suffice_where_the_function_is_smooth():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x + 0.9 * torch.tanh(x), torch.log1p(0.9 / torch.cosh(x) ** 2)

    y = torch.linspace(-5, 5, 1000, dtype=torch.float64)
    solve_increasing(f, y, y - 1, y + 1)
    assert calls <= 15


def test_not_a_number_stays_so():
    y = torch.tensor([float("nan"), 2.0])
    found = solve_increasing(FUNCTIONS["straight"], y, y - 3, y + 3)
    assert found.isnan().tolist() == [True, False]
    torch.testing.assert_close(found[1].item(), 1.0)


def test_vmap_and_compile_agree_with_eager():
    def root(y, c):
        f = lambda x: (x + c * torch.tanh(x), torch.log1p(c / torch.cosh(x) ** 2))  # noqa: E731
        return solve_increasing(f, y, y - c, y + c)

    y = torch.linspace(-3, 3, 7, dtype=torch.float64)
    c = torch.linspace(0.1, 4, 7, dtype=torch.float64)
    expected = root(y, c)
    close = partial(assert_equal_up_to_rounding, operations=8, scale=8)  # x, c tanh(x), their sum, a step
    close(torch.vmap(root)(y, c), expected)
    compiled = torch.compile(root, backend="aot_eager")  # the search itself is left as it is
    close(compiled(y, c), expected)


def test_per_sample_gradients_agree_with_autograd():
    def root(y):
        return solve_increasing(
            lambda x: (x + x**3, torch.log1p(3 * x**2)), y, y.clamp(max=0), y.clamp(min=0)
        )

    y = torch.linspace(-3, 3, 7, dtype=torch.float64)
    expected = 1 / (1 + 3 * root(y) ** 2)
    torch.testing.assert_close(torch.vmap(torch.func.grad(root))(y), expected)
