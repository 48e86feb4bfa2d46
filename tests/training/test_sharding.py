"""Parameters that several processes have parts of: they train as one process does, and resume each other."""

import json

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

import zoo
from tests.training import runs
from zoo.training.separate_blocks import separate_blocks


def block():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))


class Deep(nn.Module):
    """A model without noise; all that a parameter may be: of a block, of a row, a scalar, shared, frozen."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(block() for _ in range(2))
        self.gain = nn.Linear(3, 1)
        self.decode = nn.Linear(3, 64)
        self.again = self.decode
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.tensor(0.0))

    def forward(self, x):
        if self.training:
            self.seen += x.sum()
        with zoo.batch_plate():
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), 3), 1.0).to_event(1))
            h = self.frozen * z
            for part in self.blocks:
                h = h + part(h)
            mean = self.decode(h) * self.gain(h).sigmoid()
            pyro.sample("x", dist.Normal(mean, self.log_scale.exp()).to_event(1), obs=x.flatten(1))


OPTIONS = {"steps": 4, "ema": 0.8, "clip": 5.0, "accumulate": 2, "optimizer": "adam", "resume": True}


def fit_deep(rank=0, world_size=1, **changes):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pair, data = (Deep(), runs.Point()), runs.digits(rank=rank, world_size=world_size)
    return zoo.fit(*pair, zoo.ELBO(), data, seed=5, **{**OPTIONS, **changes})


def fit_and_resume_deep(meeting, out, rank, world_size):
    """Two processes train a run to its end; and resume those that one process, or two with DDP, began."""
    runs.join(meeting, rank, world_size)

    def fit(name, **options):
        runs.distributed.barrier()
        folder = runs.folder_of(out / name, write=rank == 0)
        return fit_deep(rank, world_size, run=folder, **options)

    figures = []

    def watch(trainer):
        with torch.no_grad():
            figures.append(trainer.evaluated(runs.digits().images[:7].float() / 255).item())

    whole = fit("whole", parallel="fsdp", callbacks=[watch])
    fit("ddp", parallel="ddp", steps=2)
    fit("fsdp", parallel="fsdp", steps=2)
    for name, way in {"one": "fsdp", "ddp": "fsdp", "fsdp": "ddp"}.items():
        fit(name, parallel=way)
    fit("two", parallel="fsdp", steps=2)
    found = {"loss": whole.loss.state_dict(), "evaluated": whole.evaluated.state_dict(), "figures": figures}
    torch.save(found, out / f"{rank}.pt")
    runs.distributed.destroy_process_group()


def test_processes_with_parts_train_and_resume_as_one_process(tmp_path):
    fit_deep(run=runs.folder_of(tmp_path / "one"), steps=2)
    assert runs.together(fit_and_resume_deep, tmp_path / "meeting", tmp_path) == [0, 0]
    fit_deep(run=runs.folder_of(tmp_path / "two"))
    alone = fit_deep(run=runs.folder_of(tmp_path / "alone"))
    expected = runs.state(tmp_path / "alone")
    for name in ("whole", "one", "ddp", "fsdp", "two"):
        found = runs.state(tmp_path / name)
        found["loss"].pop("model.seen"), found["average"].pop("module.model.seen")
        for key, value in found.items():
            close(value, expected[key], f"{name}, {key}")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["figures"] == second["figures"]
    for name, fitted in {"loss": alone.loss, "evaluated": alone.evaluated}.items():
        for key, value in fitted.state_dict().items():
            if key != "model.seen":  # of its own images
                assert torch.equal(first[name][key], second[name][key])
                close(first[name][key], value, key)


def close(found, expected, where):
    """4 steps of Adam multiply the rounding of gradients by less than 100."""
    if isinstance(found, dict):
        for key, value in found.items():
            close(value, expected[key], f"{where}, {key}")
    elif isinstance(found, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, msg=lambda m: f"{where}: {m}")
    else:
        assert found == expected, where


class Uses(nn.Module):
    """Eight blocks alike, each used in its own way."""

    def __init__(self):
        super().__init__()
        names = ("called", "twice", "shaped", "never", "penalised", "by_layer", "tied", "wrapped")
        self.parts = nn.ModuleDict({name: block() for name in names})
        self.outside = nn.Linear(3, 5)
        self.outside.weight = self.parts["tied"][0].weight
        self.parts["wrapped"].register_forward_hook(lambda module, inputs, output: dist.Normal(output, 1.0))
        self.register_buffer("sum", torch.zeros(()))
        self.register_buffer("set", torch.tensor(False))

    def forward(self, x):
        self.sum += x.sum()
        self.set.fill_(True)
        parts = self.parts
        h = parts["twice"](parts["twice"](parts["called"](x)))
        h = parts["shaped"](h) * parts["shaped"][0].weight.shape[1]
        h = parts["by_layer"][2](parts["by_layer"][0](h)) + parts["tied"](h)
        return (h + parts["wrapped"](h).mean).sum() + parts["penalised"](h).sum() + self.penalty()

    def penalty(self):
        return self.parts["penalised"][0].weight.square().sum()


def test_blocks_are_separate_that_are_only_called():
    loss, x = Uses(), torch.ones(2, 3)
    assert separate_blocks(loss, x) == ["parts.called", "parts.twice", "parts.shaped"]
    assert loss.sum == 0  # a statistic
    assert loss.set  # what the first call sets
    assert not any(part._forward_pre_hooks for part in loss.modules())


def test_no_block_is_separate_where_a_loss_takes_gradients_of_its_own():
    class Inner(Uses):
        def penalty(self):
            x = torch.ones(2, 3, requires_grad=True)
            return torch.autograd.grad(self.parts["called"](x).sum(), x, create_graph=True)[0].sum()

    assert separate_blocks(Inner(), torch.ones(2, 3)) == []


def test_options_that_cannot_go_with_parts_are_named(tmp_path):
    codes = runs.together(refuse, tmp_path / "meeting", tmp_path)
    assert codes == [0, 0]


def refuse(meeting, out, rank, world_size):
    runs.join(meeting, rank, world_size)
    for option in ({"compile": "blocks"}, {"channels_last": True}):
        (name,) = option
        with pytest.raises(zoo.errors.UsageError, match=f"{name}=false with parallel=fsdp"):
            fit_deep(rank, world_size, parallel="fsdp", **option)


SMALL = (
    *("pixelcnn_digits", "--batch-size", 100, "--samples", 1, "--steps", 20),
    *("--set", "network.blocks=2", "--set", "network.channels=4", "--set", "network.head=4"),
    *("--set", "ema=0.9", "--set", "choose=best", "--set", "histograms=true", "--set", "normalise=true"),
)


def test_the_command_line_has_the_figures_of_one_process(torchrun, tmp_path):
    """A model without latents: the draws do not depend on the number of processes."""
    two = torchrun("train", *SMALL, "--out", tmp_path / "two", "--set", "parallel=fsdp")
    assert [code for code, _, _ in two] == [0, 0], two
    one = runs.Command("train", *SMALL, "--out", tmp_path / "one").end()
    assert one[0] == 0, one
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    for alone, shared in zip(*([json.loads(line) for line in part] for part in lines), strict=True):
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            if name.startswith(("validation/", "test/")) and isinstance(value, float):
                assert shared[name] == pytest.approx(value, rel=1e-5), name
