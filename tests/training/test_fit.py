"""`fit` with anybody's Pyro programs, objectives and data."""

import functools
import math
import shutil

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import RenyiELBO, Trace_ELBO, TraceGraph_ELBO, TraceMeanField_ELBO
from pyro.nn import PyroModule, PyroParam
from torch import nn
from torch._inductor.exc import InvalidCxxCompiler
from torch.utils.data import DataLoader, TensorDataset

import zoo
from tests.training import runs
from zoo.data import Batches
from zoo.errors import DataError, NonFiniteError, UsageError
from zoo.infer.compilation import CompiledLoss
from zoo.infer.schedules import GeometricDecay
from zoo.training.checkpoint import save_checkpoint
from zoo.training.run_folder import RunFolder


class Model(nn.Module):
    """A user's own: one Gaussian latent, a plate of his own name."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 64)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
            pixels = dist.Bernoulli(logits=self.net(z).view(-1, 1, 8, 8)).to_event(3)
            pyro.sample("x", pixels, obs=x)


class Guide(nn.Module):
    """Its guide; an attribute `net` as well."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(64, 4)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            loc, scale = self.net(x.flatten(1)).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, scale.exp()).to_event(1))


class PyroGuide(PyroModule):
    """The same as a PyroModule."""

    def __init__(self):
        super().__init__()
        self.net = PyroModule[nn.Linear](64, 2)
        self.scale = PyroParam(torch.ones(2), dist.constraints.positive)

    def forward(self, x):
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.net(x.flatten(1)), self.scale).to_event(1))


@pytest.fixture(scope="module")
def x():
    """Binary digits (100, 1, 8, 8)."""
    return torch.cat(list(runs.digits(100).epoch(0)))


def evidence(fit, x):
    return zoo.log_likelihood(fit.evaluated.model, fit.evaluated.guide, x, 20, seed=0).mean


@pytest.mark.parametrize(
    ("objective", "guide"),
    [
        (zoo.ELBO(), Guide),
        (zoo.ELBO(), PyroGuide),
        (zoo.ELBO(num_particles=3), PyroGuide),
        (zoo.ImportanceWeighted(3), Guide),
        (Trace_ELBO(), Guide),
        (Trace_ELBO(), PyroGuide),
        (TraceMeanField_ELBO(), Guide),
    ],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_a_users_own_programs_are_trained_and_evaluated(objective, guide, x):
    model, guide = Model(), guide()
    before = zoo.log_likelihood(model, guide, x, 20, seed=0).mean
    fit = zoo.fit(model, guide, objective, x, epochs=20, batch_size=50, learning_rate=0.05)
    assert fit.step == 40
    assert fit.loss.model is model
    assert evidence(fit, x) > before + 10


@pytest.mark.parametrize(
    "source",
    [
        lambda x: x,
        lambda x: Batches(x, 20),
        lambda x: DataLoader(TensorDataset(x), batch_size=20, shuffle=True),
        lambda x: DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=20),
        lambda x: DataLoader(list(x), batch_size=20),
        lambda x: list(x.split(20)),
    ],
    ids=["tensor", "Batches", "shuffling loader", "loader with labels", "loader of a list", "list"],
)
def test_images_come_in_many_ways(source, x):
    fit = zoo.fit(Model(), Guide(), zoo.ELBO(), source(x), epochs=2, batch_size=20)
    assert fit.step == 10


def test_a_tensor_is_taken_in_batches_and_a_rest_is_dropped(x):
    seen = []

    class Watched(Model):
        def forward(self, x):
            seen.append(len(x))
            super().forward(x)

    zoo.fit(Watched(), Guide(), zoo.ELBO(), x, epochs=1, batch_size=30)
    assert seen == [30, 30, 30]
    seen.clear()
    zoo.fit(Watched(), Guide(), zoo.ELBO(), x[:7], epochs=2, batch_size=30)
    assert seen == [7, 7]


def test_a_seed_reproduces_a_fit(x):
    def fitted(seed):
        torch.manual_seed(0)
        model, guide = Model(), Guide()
        torch.manual_seed(torch.seed() % 100)  # what was drawn before does not matter
        return zoo.fit(model, guide, zoo.ELBO(), x, epochs=2, seed=seed).loss.state_dict()

    assert runs.same(fitted(1), fitted(1))
    assert not runs.same(fitted(1), fitted(2))


def test_without_an_average_the_trained_parameters_are_evaluated(x):
    fit = zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=1)
    assert fit.evaluated is fit.loss


@pytest.mark.parametrize("decay", [0.2, 0.999])
def test_the_average_is_the_exponential_one_with_less_decay_at_first(x, decay):
    model, values = Model(), []
    fit = zoo.fit(
        *(model, Guide(), zoo.ELBO(), x),
        **{"epochs": 6, "batch_size": 100, "ema": decay, "learning_rate": 0.1},
        callbacks=[lambda trainer: values.append(model.net.bias.detach().clone())],
    )
    average = values[0]
    for n, value in enumerate(values[1:], 1):
        warm = min(decay, (1 + n) / (10 + n))
        average = warm * average + (1 - warm) * value
    torch.testing.assert_close(fit.evaluated.model.net.bias.detach(), average)


class Flagged(Model):
    """Sets a flag when it first sees images, as data-dependent initialisation does, and counts."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.seen.fill_(True)
        self.count += 1
        super().forward(x)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_average_has_the_buffers_themselves(steps, x, tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    fit = zoo.fit(Flagged(), Guide(), zoo.ELBO(), x, steps=steps, batch_size=20, ema=0.999, run=run)
    assert fit.evaluated.model is not fit.loss.model
    assert fit.evaluated.model.seen
    assert fit.evaluated.model.count == fit.loss.model.count == steps
    saved = runs.state(tmp_path / "run")["average"]
    assert saved["module.model.seen"]
    assert saved["module.model.count"] == steps


def test_bivas_recipe_is_adamax_with_a_rate_that_falls_each_step(x):
    """Adamax(0.9, 0.999), 2e-3 times 0.999999 a step down to 1e-4, by hand on one parameter."""
    recipe = {"learning_rate": 2e-3, "learning_rate_decay": 0.999999, "learning_rate_floor": 1e-4}
    model, seen = Model(), []

    def watch(trainer):
        seen.append((model.net.bias.detach().clone(), model.net.bias.grad.clone()))

    before = model.net.bias.detach().clone()
    zoo.fit(model, Guide(), zoo.ELBO(), x, epochs=5, batch_size=100, callbacks=[watch], **recipe)
    m, u = torch.zeros_like(before), torch.zeros_like(before)
    for t, (after, g) in enumerate(seen, 1):
        m, u = 0.9 * m + 0.1 * g, torch.maximum(0.999 * u, g.abs() + 1e-8)
        expected = before - 2e-3 * 0.999999 ** (t - 1) / (1 - 0.9**t) * m / u
        torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-7)
        before = after
    rate = GeometricDecay(2e-3, 0.999999, 1e-4)
    assert rate(2_995_000) > 1e-4 == rate(2_996_000)  # about 3.0 million steps to the floor


def test_a_clipped_gradient_has_at_most_that_norm(x):
    norms = []

    def watch(trainer):
        gradients = [p.grad.flatten() for p in trainer.parameters]
        norms.append(torch.cat(gradients).norm().item())

    zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=2, batch_size=100, clip=0.1, callbacks=[watch])
    assert norms == pytest.approx([0.1, 0.1], rel=1e-3)


def test_normalised_gradients_have_norm_one_each(x):
    norms = []

    def watch(trainer):
        norms.extend(p.grad.norm().item() for p in trainer.parameters)

    zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=2, batch_size=100, normalise=True, callbacks=[watch])
    assert norms == pytest.approx([1.0] * len(norms), abs=1e-4)
    assert norms


@pytest.mark.parametrize("optimizer", ["adamax", "adam", "adamw"])
def test_the_learning_rate_falls_to_its_floor(optimizer, x, tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    zoo.fit(
        *(Model(), Guide(), zoo.ELBO(), x),
        **{"steps": 4, "log_every": 1, "optimizer": optimizer, "run": run},
        **{"learning_rate": 0.1, "learning_rate_decay": 0.5, "learning_rate_floor": 0.03},
    )
    rates = [line["train/learning_rate"] for line in run.read_metrics()]
    assert rates == pytest.approx([0.1, 0.05, 0.03, 0.03])


def rates(x, folder, **recipe):
    run = RunFolder.create(folder, {})
    zoo.fit(Model(), Guide(), zoo.ELBO(), x, log_every=1, run=run, **recipe)
    return [line["train/learning_rate"] for line in run.read_metrics()]


def test_the_learning_rate_rises_and_then_falls_along_a_cosine_to_its_floor(x, tmp_path):
    recipe = {"learning_rate": 0.1, "learning_rate_floor": 0.02, "learning_rate_warmup": 3, "cosine": True}
    fallen = [0.02 + 0.08 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(4)]
    expected = [0.1 / 3, 0.2 / 3, 0.1, *fallen]
    assert rates(x, tmp_path / "run", steps=7, **recipe) == pytest.approx(expected)


def test_the_learning_rate_rises_and_then_falls_by_a_factor(x, tmp_path):
    recipe = {"learning_rate": 0.1, "learning_rate_warmup": 2, "learning_rate_decay": 0.5}
    assert rates(x, tmp_path / "run", steps=5, **recipe) == pytest.approx([0.05, 0.1, 0.1, 0.05, 0.025])


def test_a_run_within_its_warmup_has_a_rate(x, tmp_path):
    recipe = {"learning_rate": 0.1, "learning_rate_warmup": 10, "cosine": True}
    assert rates(x, tmp_path / "run", steps=2, **recipe) == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_optimisers_options_are_those_of_its_formula(optimizer, x):
    """One bias, step by step; decay of weights as L2 in the gradient, or decoupled."""
    model, seen = Model(), []
    (b1, b2), eps, decay, rate = (0.8, 0.95), 1e-3, 0.3, 0.01

    def watch(trainer):
        seen.append((model.net.bias.detach().clone(), model.net.bias.grad.clone()))

    recipe = {"betas": (b1, b2), "eps": eps, "weight_decay": decay, "learning_rate": rate}
    value = model.net.bias.detach().clone()
    zoo.fit(
        *(model, Guide(), zoo.ELBO(), x),
        **{"epochs": 4, "batch_size": 100, "callbacks": [watch], "optimizer": optimizer, **recipe},
    )
    m, v = torch.zeros_like(value), torch.zeros_like(value)
    for t, (after, g) in enumerate(seen, 1):
        if optimizer == "adamw":
            value = value * (1 - rate * decay)
        else:
            g = g + decay * value
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        value = value - rate * m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + eps)
        torch.testing.assert_close(after, value, rtol=1e-5, atol=1e-7)


def test_callbacks_see_every_epoch_and_leave_the_run_alone(x):
    steps = []

    def nosy(trainer):
        steps.append(trainer.step)
        torch.randn(trainer.step)

    torch.manual_seed(0)
    watched = zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=3, batch_size=50, callbacks=[nosy])
    torch.manual_seed(0)
    alone = zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=3, batch_size=50)
    assert steps == [2, 4, 6]
    assert runs.same(watched.loss.state_dict(), alone.loss.state_dict())


def test_nothing_is_written_without_a_run_folder(x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zoo.fit(Model(), Guide(), zoo.ELBO(), x, epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_steps_go_before_epochs(x):
    assert zoo.fit(Model(), Guide(), zoo.ELBO(), x, steps=7, epochs=1, batch_size=50).step == 7


def compiling(test):
    """Mark a test that compiles a loss."""
    test = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")(test)
    return pytest.mark.slow(pytest.mark.filterwarnings("ignore")(test))  # the compiler's own warnings


class Sampled(runs.Point):
    """A guide with noise."""

    def forward(self, x):
        with zoo.batch_plate():
            pyro.sample("z", dist.Normal(self.encode(x.flatten(1)), 1.0).to_event(1))


@compiling
def test_a_compiled_run_is_resumed_to_the_bit_and_has_the_eager_ones_noise(x, tmp_path):
    """The folder is copied after the first epoch, as a run killed there would have left it."""
    whole, run = tmp_path / "whole", tmp_path / "run"

    def copied(trainer):
        if not run.exists():
            shutil.copytree(whole, run)

    def fitted(path, *callbacks, compile=True):
        torch.manual_seed(0)
        options = {"epochs": 2, "batch_size": 20, "compile": compile, "log_every": 1, "save_every": 3}
        folder = RunFolder.open(path) if path == run else RunFolder.create(path, {})
        programs = runs.Mean(), Sampled()
        zoo.fit(*programs, zoo.ELBO(), x, run=folder, resume=path == run, callbacks=callbacks, **options)

    fitted(whole, copied)
    fitted(tmp_path / "eager", compile=False)
    torch.testing.assert_close(runs.state(tmp_path / "eager")["loss"], runs.state(whole)["loss"])
    assert runs.state(run)["step"] == 3
    fitted(run)
    assert runs.same(runs.state(run), runs.state(whole))
    assert runs.metrics(run) == runs.metrics(whole)


@pytest.mark.parametrize("made", [zoo.ELBO(), Trace_ELBO()])
def test_a_loss_or_a_name_in_the_place_of_an_objective_is_named(x, made):
    model, guide = Model(), Guide()
    for objective, what in ((made(model, guide), "ELBO"), ("elbo", "'elbo'"), (None, "NoneType")):
        with pytest.raises(UsageError, match=rf"an objective, such as zoo.ELBO\(\).*; got .*{what}"):
            zoo.fit(model, guide, objective, x, epochs=1)


@pytest.mark.filterwarnings("ignore")
def test_a_machine_without_a_compiler_is_told_of_in_one_line(x):
    def absent(graph, inputs):
        raise InvalidCxxCompiler

    with pytest.raises(
        UsageError, match=r"could not be compiled \(.*No working C\+\+ compiler.*install"
    ) as error:
        CompiledLoss(torch.compile(torch.sin, backend=absent))(x)
    assert "\n" not in str(error.value)


def test_a_compiled_fit_is_the_eager_one(x, monkeypatch):
    """Whatever makes code of the graph: the run above is made into C++."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))

    def fitted(compile):
        torch.manual_seed(0)
        options = {"steps": 5, "batch_size": 20, "compile": compile}
        return zoo.fit(runs.Mean(), runs.Point(), zoo.ELBO(), x, **options).loss

    eager, compiled = fitted(False), fitted(True)
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-5)


MISTAKES = {
    "no option": ({"epoch": 3}, UsageError, "did you mean epochs"),
    "a wrong type": ({"epochs": "many"}, UsageError, "epochs to be an integer"),
    "a truth for a number": ({"epochs": True}, UsageError, "epochs to be an integer"),
    "out of range": ({"learning_rate": -1.0}, UsageError, "learning_rate > 0"),
    "no batch": ({"batch_size": 0}, UsageError, "batch_size >= 1"),
    "one beta": ({"betas": 0.9}, UsageError, "two betas"),
    "a beta of one": ({"betas": (0.9, 1.0)}, UsageError, "two betas"),
    "two decays": ({"cosine": True, "learning_rate_decay": 0.9}, UsageError, "leave one out"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_wrong_option_is_told_before_the_first_step(name, x):
    changes, error, said = MISTAKES[name]
    with pytest.raises(error, match=said):
        zoo.fit(Unused(), Unused(), zoo.ELBO(), x, **changes)


class Unused(Model):
    def forward(self, x):
        raise AssertionError("a step was made")


DATA = {
    "no images": (lambda x: x[:0], "none of them 0"),
    "bytes": (lambda x: x.to(torch.uint8), "floating-point"),
    "labels": (lambda x: torch.arange(10), "floating-point"),
    "not a number": (lambda x: torch.full_like(x, torch.nan), "finite"),
    "an empty list": (lambda x: [], "iterable of batches"),
    "a generator": (lambda x: (b for b in x), "iterable of batches"),
    "a number": (lambda x: 3, "iterable of batches"),
    "bytes from a loader": (lambda x: DataLoader(x.to(torch.uint8)), "floating-point"),
    "not a number from a loader": (lambda x: DataLoader(x / 0), "NaN or infinity"),
    "text": (lambda x: ["digits"], "expected batches"),
}


@pytest.mark.parametrize("name", DATA)
def test_wrong_data_are_told_before_the_first_step(name, x):
    spoil, said = DATA[name]
    with pytest.raises(DataError, match=said):
        zoo.fit(Unused(), Unused(), zoo.ELBO(), spoil(x))


class Short:
    """Says five batches, and has as many as it has."""

    def __init__(self, batches):
        self.batches = batches

    def __len__(self):
        return 5

    def __iter__(self):
        return iter(self.batches)


def test_data_shorter_than_they_say_are_told_of(x):
    with pytest.raises(DataError, match=r"expected 5 batches an epoch.*got 2"):
        zoo.fit(Model(), Guide(), zoo.ELBO(), Short(x.split(50)), epochs=2)


def test_data_longer_than_they_say_are_cut(x):
    assert zoo.fit(Model(), Guide(), zoo.ELBO(), Short(x.split(10)), epochs=2).step == 10


@pytest.mark.parametrize("objective", [TraceGraph_ELBO(), RenyiELBO()])
def test_objectives_without_a_gradient_of_their_own_are_refused(objective, x):
    with pytest.raises(UsageError, match=f"{type(objective).__name__}.*Trace_ELBO"):
        zoo.fit(Unused(), Guide(), objective, x)


def test_programs_without_parameters_are_refused(x):
    with pytest.raises(UsageError, match="nothing to train"):
        zoo.fit(lambda x: None, lambda x: None, zoo.ELBO(), x)


@pytest.mark.filterwarnings("ignore:Encountered")  # Pyro's own, in the first step
@pytest.mark.parametrize("bad", [1, 3])
def test_a_loss_that_is_not_finite_stops_before_the_optimizer(bad, x, tmp_path):
    class Diverging(Model):
        calls = 0

        def forward(self, x):
            self.calls += 1
            super().forward(x)
            pyro.factor("penalty", torch.full((), torch.inf if self.calls == bad else 0.0))

    run = RunFolder.create(tmp_path / "run", {})
    guide = Guide()
    with pytest.raises(NonFiniteError, match=f"step {bad}") as error:
        zoo.fit(Diverging(), guide, Trace_ELBO(), x, run=run, save_every=1, learning_rate=0.1)
    assert ("checkpoint is kept" in str(error.value)) == (bad > 1)
    assert all(p.isfinite().all() for p in guide.parameters())
    if bad > 1:
        assert runs.state(tmp_path / "run")["step"] == bad - 1
    else:
        assert not run.last_checkpoint.exists()


class Falling(nn.Module):
    """A loss that falls without end."""

    def __init__(self, model, guide):
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return -1e8 * self.gain


def test_a_loss_that_is_finite_and_absurd_is_refused(x, tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    recipe = {"steps": 5, "save_every": 1, "learning_rate": 1e6, "log_every": 1}
    with pytest.raises(NonFiniteError, match=r"got a loss of -1e\+14 at step 2; .*is kept"):
        zoo.fit(Unused(), Unused(), Falling, x, run=run, **recipe)
    assert runs.state(tmp_path / "run")["step"] == 1


def test_a_diverged_run_says_so_in_one_line_when_it_is_resumed(x, tmp_path):
    model, run = Model(), RunFolder.create(tmp_path / "run", {})
    zoo.fit(model, Guide(), zoo.ELBO(), x, run=run, steps=1)
    state = runs.state(tmp_path / "run")
    state["loss"]["guide.net.weight"].fill_(float("nan"))
    save_checkpoint(run.last_checkpoint, state)
    with pytest.raises(NonFiniteError, match="diverged") as error:
        zoo.fit(model, Guide(), zoo.ELBO(), x, run=run, steps=2, resume=True)
    assert "\n" not in str(error.value)
