"""Laws of every distribution in the catalogue."""

import copy
import math
import pickle

import pyro
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import distributions
from tests.distributions.catalogue import CATALOGUE, DISCRETE

cases = pytest.mark.parametrize("case", CATALOGUE.values(), ids=CATALOGUE)
CLASSES = (
    *("residual_normal", "precision_weighted_normal", "discretized_logistic", "grid_categorical"),
    "rgb_mixture",
)
one_a_class = pytest.mark.parametrize("case", [CATALOGUE[name] for name in CLASSES], ids=CLASSES)
discrete = pytest.mark.parametrize("case", DISCRETE.values(), ids=DISCRETE)

SYNCHRONISING = {"_local_scalar_dense", "item", "equal", "is_nonzero", "nonzero"}


class CountSynchronisations(TorchDispatchMode):
    """Counts the operations that wait for the GPU."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in SYNCHRONISING
        return func(*args, **(kwargs or {}))


def test_catalogue_of_names_is_sorted_and_complete():
    assert distributions.__all__ == sorted(distributions.__all__)
    assert all(hasattr(distributions, name) for name in distributions.__all__)


@cases
@pytest.mark.parametrize("sample_shape", [(), (3,), (4, 3)])
def test_shapes(case, sample_shape):
    p = case()
    x = p.sample(sample_shape)
    assert p.batch_shape == (2,)
    assert x.shape == sample_shape + p.batch_shape + p.event_shape
    assert p.log_prob(x).shape == sample_shape + p.batch_shape


@cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_the_parameters(case, dtype):
    p = case(dtype)
    x = p.sample()
    assert x.dtype == p.log_prob(x).dtype == dtype
    assert p.support.check(x).all()


@cases
def test_validation_does_not_change_log_prob(case):
    x = case().sample((3,))
    validated = case(validate_args=True).log_prob(x)
    assert torch.equal(validated, case(validate_args=False).log_prob(x))


@cases
def test_expand_repeats_the_distribution(case):
    p = case()
    q = p.expand((5, 2))
    x = p.sample((5,))
    assert q.batch_shape == (5, 2)
    assert q.event_shape == p.event_shape
    assert type(q) is type(p)
    torch.testing.assert_close(q.log_prob(x), p.log_prob(x))
    assert q.sample().shape == x.shape
    draws = p.expand((50, 2)).sample()
    assert (draws != draws[0]).any()  # independent ones, not one draw repeated


@cases
def test_expand_twice(case):
    p = case()
    x = p.sample()
    torch.testing.assert_close(p.expand((3, 2)).expand((4, 3, 2)).log_prob(x)[1, 2], p.log_prob(x))


@cases
def test_to_event_sums_the_batch(case):
    p = case()
    x = p.sample()
    q = p.to_event(1)
    assert q.event_shape == p.batch_shape + p.event_shape
    torch.testing.assert_close(q.log_prob(x), p.log_prob(x).sum(0))


@cases
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_equal_the_original(case, copied):
    p = case()
    q = copied(p)
    x = p.sample((3,))
    assert torch.equal(q.log_prob(x), p.log_prob(x))
    assert repr(q) == repr(p)


@cases
def test_sampling_is_seeded(case):
    torch.manual_seed(0)
    x = case().sample()
    torch.manual_seed(0)
    assert torch.equal(case().sample(), x)


@cases
def test_pyro_scores_it_in_a_plate(case):
    def model(x):
        with pyro.plate("batch", 2, dim=-1):
            pyro.sample("x", case(), obs=x)

    x = case().sample()
    trace = pyro.poutine.trace(model).get_trace(x)
    torch.testing.assert_close(trace.log_prob_sum(), case().log_prob(x).sum())


@cases
def test_functional_transforms_see_through_it(case):
    """`torch.vmap` of values, also of those that are validated, and `torch.func.grad`."""
    p, (first, *others) = case(), case.parameters()
    x = p.sample((3,))
    torch.testing.assert_close(torch.vmap(p.log_prob)(x), p.log_prob(x))

    def log_prob(parameter):
        return case.build(parameter, *others, validate_args=False).log_prob(x).sum()

    first.requires_grad_()
    torch.testing.assert_close(
        torch.func.grad(log_prob)(first), torch.autograd.grad(log_prob(first), first)[0]
    )


@one_a_class
def test_log_prob_compiles_in_one_graph(case):
    def log_prob(x, *parameters):
        return case.build(*parameters, validate_args=False).log_prob(x).sum()

    torch._dynamo.reset()
    parameters = [p.requires_grad_() for p in case.parameters()]
    x = case().sample()
    compiled = torch.compile(log_prob, fullgraph=True, backend="aot_eager")(x, *parameters)
    eager = log_prob(x, *parameters)
    torch.testing.assert_close(compiled, eager)
    for a, b in zip(
        torch.autograd.grad(compiled, parameters),
        torch.autograd.grad(eager, parameters),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@one_a_class
def test_sampling_compiles_in_one_graph(case):
    def sample(*parameters):
        return case.build(*parameters, validate_args=False).sample((3,))

    torch._dynamo.reset()
    x = torch.compile(sample, fullgraph=True, backend="eager")(*case.parameters())
    assert torch.isfinite(case().log_prob(x)).all()


@cases
def test_no_synchronisation_without_validation(case):
    with CountSynchronisations() as counter:
        p = case(validate_args=False)
        p.log_prob(p.sample((3,)))
        p.expand((4, 2)).sample()
        assert counter.count == 0
        case(validate_args=True)  # control: the counter does count
        assert counter.count > 0


@cases
def test_runs_on_fake_cuda(case):
    with FakeTensorMode():
        parameters = [torch.empty(s, device="cuda") for s in case.shapes]
        p = case.build(*parameters, validate_args=False)
        x = p.sample((3,))
        assert x.device.type == p.log_prob(x).device.type == "cuda"
        assert p.log_prob(x).shape == (3, 2)


@cases
def test_gradients_reach_every_parameter(case):
    parameters = [p.requires_grad_() for p in case.parameters()]
    p = case.build(*parameters)
    p.log_prob(p.sample()).sum().backward()
    for parameter in parameters:
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.abs().sum() > 0


@discrete
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(case, dtype):
    halves = [p.to(dtype) for p in case.parameters()]
    p, exact = case.build(*halves), case.build(*(h.double() for h in halves))
    x = p.sample()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_prob = p.log_prob(x)
    assert x.dtype == log_prob.dtype == torch.float32
    pixels = math.prod(p.event_shape[1:])
    error = (log_prob.double() - exact.log_prob(x.double())).abs() / pixels
    assert error.max() <= 1e-4  # nats a pixel


@discrete
def test_values_off_the_grid_are_named(case):
    p = case(validate_args=True)
    x = p.sample()
    x.view(-1)[3 % x.numel()] = 0.3
    last = getattr(p, "base_dist", p).grid.last
    with pytest.raises(ValueError, match=rf"on the grid 2k/{last} - 1.*got x = 0\.3.*2 \* x / {last} - 1"):
        p.log_prob(x)


@discrete
def test_images_that_are_not_scaled_are_named(case):
    p = case(validate_args=True)
    for x in (
        torch.full(p.event_shape, 200, dtype=torch.uint8),
        torch.full(p.event_shape, 200.0),
        torch.full(p.event_shape, float("nan")),
    ):
        with pytest.raises(ValueError, match="scale integer images"):
            p.log_prob(x)


@discrete
def test_wrong_event_shape_is_an_error(case):
    p = case(validate_args=True)
    with pytest.raises(ValueError, match=r"broadcastable|event_shape"):
        p.log_prob(torch.ones(7, *(9 for _ in p.event_shape)))


@discrete
def test_without_validation_the_nearest_level_counts(case):
    p = case(validate_args=False)
    x = p.sample()
    assert torch.equal(p.log_prob(x + 1e-3), p.log_prob(x))
    ends = torch.ones_like(x)
    assert torch.equal(p.log_prob(5 * ends), p.log_prob(ends))
    assert torch.equal(p.log_prob(-5 * ends), p.log_prob(-ends))
