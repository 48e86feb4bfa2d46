"""What a step must keep to for a GPU, checked without one: no waiting, and one graph from x to the loss."""

import pyro
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.catalogue import IMAGE, PAIRS, bivas, images, images_for, pair, pixels
from tests.contracts import Synchronisations, assert_all_close, loss_and_gradients, seeded
from zoo import ELBO, ImportanceWeighted, compile_loss, log_weights
from zoo.infer.compilation import make_messages_traceable
from zoo.infer.objectives import monte_carlo
from zoo.models.biva import Stage, biva
from zoo.nn.causal import PixelCNNpp

TINY = (1, 3, 3)  # recurrent networks are unrolled over rows

OBJECTIVES = {
    "ELBO": ELBO(),
    "Monte Carlo ELBO": ELBO(kl=monte_carlo),
    "scheduled ELBO of several particles": ELBO(warmup=10, free_bits=1.0, num_particles=3),
    "importance-weighted": ImportanceWeighted(3),
}
# every pair under the objective that has most parts, two of them under the others
SCHEDULED = "scheduled ELBO of several particles"
STEPS = {f"{name}, {SCHEDULED}": (name, OBJECTIVES[SCHEDULED]) for name in PAIRS} | {
    f"{name}, {objective}": (name, OBJECTIVES[objective])
    for name in ("vae", "biva of 3 layers")
    for objective in OBJECTIVES
}
steps = pytest.mark.parametrize(("name", "objective"), STEPS.values(), ids=STEPS)


@pytest.fixture
def unchecked():
    """Pyro's checks wait for the GPU; they are for the first step."""
    with pyro.validation_enabled(False):
        yield


@steps
@pytest.mark.usefixtures("unchecked")
def test_a_step_never_waits_for_the_gpu(name, objective):
    loss = objective(*pair(name, dtype=torch.float32)).train()
    x = images_for(name, dtype=torch.float32)
    with Synchronisations() as waits:
        loss.schedule(1)
        loss(x).backward()
    assert waits.count == 0


@pytest.mark.usefixtures("unchecked")
def test_pyros_own_elbo_waits():
    """Control: the count sees what it is to see."""
    loss = pyro.infer.Trace_ELBO()(*pair("vae", dtype=torch.float32))
    with Synchronisations() as waits:
        loss(images(dtype=torch.float32)).backward()
    assert waits.count > 0


@steps
@pytest.mark.usefixtures("unchecked")
def test_a_step_runs_on_a_gpu_that_is_not_there(name, objective):
    """On fake tensors any value that is asked for, and any tensor of another device, is an error."""
    with FakeTensorMode():
        with torch.device("cuda"):
            loss = objective(*PAIRS[name](TINY)).train()
            x = torch.rand(3, *TINY).round()
        value = loss(x)  # with the CPU as the default device again
        assert value.device.type == "cuda"
        assert all(v.device.type == "cuda" for v in loss.stats.values())


# one of each network
AUTOREGRESSIVE = (
    *("pixelcnn", "gated pixelcnn, logistic mixture", "small pixelcnnpp", "row lstm"),
    *("diagonal bilstm", "wavenet", "pixelvae"),
)
COMPILED = {
    "vae": ("vae", OBJECTIVES[SCHEDULED]),
    "vae, flow posterior": ("vae, flow posterior", OBJECTIVES["ELBO"]),
    "biva": ("small biva", OBJECTIVES["ELBO"]),
    **{name: (name, OBJECTIVES["ELBO"]) for name in AUTOREGRESSIVE},
}


SMALL = {
    "small biva": bivas(2, blocks=1),
    "small pixelcnnpp": pixels(PixelCNNpp, resnets=1, resolutions=1, dropout=0.3),
}


def built(name):
    torch.manual_seed(0)
    return (SMALL | PAIRS)[name](TINY)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "objective"), COMPILED.values(), ids=COMPILED)
def test_a_compiled_loss_is_the_eager_one(name, objective):
    """One graph is made of each; that of the first is differentiated and lowered as well."""
    torch._dynamo.reset()
    loss = objective(*built(name)).train()
    loss.schedule(3)
    x = images_for(name, shape=TINY, dtype=torch.float32)
    parameters = list(loss.parameters())
    with pyro.validation_enabled(False):
        eager = loss_and_gradients(loss, x, parameters=parameters, seed=1)
    before = torch.get_rng_state()
    compiled = compile_loss(loss, x, backend="aot_eager" if name == "vae" else "eager")
    assert torch.equal(torch.get_rng_state(), before)  # a run that compiles has the same noise
    ours = loss_and_gradients(compiled, x, parameters=parameters, seed=1)
    assert_all_close([ours[0], *ours[1]], [eager[0], *eager[1]], atol=1e-5, rtol=1e-4)
    assert loss.stats["elbo"].isfinite()


@pytest.mark.slow
def test_beta_changes_a_compiled_loss_without_compiling_again():
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    loss = ELBO(warmup=4, free_bits=0.1)(*pair("vae", dtype=torch.float32)).train()
    x = images(dtype=torch.float32)
    compiled = compile_loss(loss, x, backend=counter)
    for step in range(4):
        loss.schedule(step)
        with pyro.validation_enabled(False):
            eager = seeded(loss, x)
        torch.testing.assert_close(seeded(compiled, x), eager)
    assert counter.frame_count == 1


def test_an_unknown_pyro_is_warned_of_and_runs_eagerly(monkeypatch):
    monkeypatch.setattr(pyro, "__version__", "2.0.0")
    loss = ELBO()(*pair("vae"))
    with pytest.warns(UserWarning, match=r"checked with Pyro 1\.9\.x; with 2\.0\.0 the loss runs eagerly"):
        assert compile_loss(loss, images()) is loss


def test_pyro_works_as_before_once_its_messages_are_dicts():
    make_messages_traceable()
    model, guide = pair("biva of 2 layers")
    x = images()
    first = seeded(ELBO(kl=monte_carlo)(model, guide), x)
    trace = seeded(pyro.infer.Trace_ELBO()(model, guide), x) / len(x)
    torch.testing.assert_close(first, trace)
    assert log_weights(model, guide, x, 2).isfinite().all()


@pytest.mark.usefixtures("unchecked")
def test_no_step_waits_in_a_deeper_hierarchy():
    stages = [Stage(2, filters=2, blocks=1, spatial=i < 3) for i in range(6)]
    loss = ELBO()(*biva(IMAGE, stages))
    with Synchronisations() as waits:
        loss(images(dtype=torch.float32)).backward()
    assert waits.count == 0
