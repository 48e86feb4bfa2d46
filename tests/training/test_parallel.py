"""Several processes train as one does with the same global batch, and one of them writes."""

import itertools
import json
import os
import signal

import pytest
import torch

import zoo
from tests.training import runs
from zoo.ranks import of_first
from zoo.runs.monitor import mean_elbo
from zoo.training.parallel import copy_first_buffers
from zoo.training.state import seed_noise


def test_two_processes_train_as_one(tmp_path):
    assert runs.together(runs.fit_points_of, tmp_path / "meeting", tmp_path) == [0, 0]
    alone = runs.fit_points().loss.state_dict()
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])  # the same sum of gradients was sent to both
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-5)


def test_processes_take_the_same_tensor_of_the_first(tmp_path):
    assert runs.together(write_tensor_of_first, tmp_path / "meeting", tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first.tolist() == second.tolist() == [0, 1, 2]


def write_tensor_of_first(meeting, out, rank, world_size):
    """Rank r has 3 r + (0, 1, 2)."""
    runs.join(meeting, rank, world_size)
    torch.save(of_first(torch.arange(3) + 3 * rank), f"{out}/{rank}.pt")
    runs.distributed.destroy_process_group()


def test_processes_validate_as_one(tmp_path):
    """250 images: batches of 100, 100 and 50 for two processes, of which each has buffers of its own."""
    assert runs.together(write_validation, tmp_path / "meeting", tmp_path) == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first == second == pytest.approx(validated(0), rel=1e-6)


def write_validation(meeting, out, rank, world_size):
    runs.join(meeting, rank, world_size)
    torch.save(validated(rank), f"{out}/{rank}.pt")
    runs.distributed.destroy_process_group()


def validated(rank):
    torch.manual_seed(0)
    system = zoo.build("vae_digits", **runs.SIZES)
    system.model.register_buffer("rank", torch.tensor(rank))
    loss = system.loss()
    copy_first_buffers(loss)
    assert system.model.rank == 0
    x = torch.bernoulli(torch.rand(250, 1, 8, 8, generator=torch.Generator().manual_seed(1)))
    return mean_elbo(loss, x)


def test_noise_is_each_processs_and_each_steps_own():
    drawn = set()
    for seed, rank, step in itertools.product(range(2), range(2), range(2)):
        seed_noise(torch.device("cpu"), seed, rank, step)
        drawn.add(torch.randn(()).item())
    assert len(drawn) == 8


def test_two_processes_with_noise_train_about_as_one(tmp_path):
    assert runs.together(runs.fit_digits_of, tmp_path / "meeting", tmp_path / "run") == [0, 0]
    assert runs.state(tmp_path / "run")["step"] == runs.STEPS
    two = [line["train/kl"] for line in runs.metrics(tmp_path / "run") if "train/kl" in line]
    runs.fit_digits(tmp_path / "alone")
    one = [line["train/kl"] for line in runs.metrics(tmp_path / "alone") if "train/kl" in line]
    assert len(one) == len(two) == runs.STEPS
    assert two == pytest.approx(one, rel=0.3, abs=0.1)


def test_two_processes_go_on_where_two_were_killed(tmp_path):
    assert runs.together(runs.fit_digits_of, tmp_path / "a", tmp_path / "whole") == [0, 0]
    first = runs.together(runs.fit_digits_of, tmp_path / "b", tmp_path / "run", epochs=1)
    second = runs.together(runs.fit_digits_of, tmp_path / "c", tmp_path / "run")
    assert first == second == [0, 0]
    assert runs.same(runs.state(tmp_path / "run"), runs.state(tmp_path / "whole"))
    assert runs.metrics(tmp_path / "run") == runs.metrics(tmp_path / "whole")


def test_a_run_is_resumed_by_more_or_fewer_processes(tmp_path):
    """A model without noise: every batch was taken once, in order, by however many processes."""
    runs.fit_points(run=runs.folder_of(tmp_path / "one"), epochs=1)
    assert runs.together(runs.fit_points_again_of, tmp_path / "meeting", tmp_path) == [0, 0]
    runs.fit_points(run=runs.folder_of(tmp_path / "two"))
    runs.fit_points(run=runs.folder_of(tmp_path / "whole"))
    whole = runs.state(tmp_path / "whole")
    for name in ("one", "two"):
        found = runs.state(tmp_path / name)
        assert found["step"] == whole["step"] == 8
        torch.testing.assert_close(found["loss"], whole["loss"], rtol=1e-5, atol=1e-5)
        moments = (state["optimizer"]["state"] for state in (found, whole))
        torch.testing.assert_close(*moments, rtol=1e-4, atol=1e-5)


def test_one_process_goes_on_where_two_were(tmp_path):
    assert runs.together(runs.fit_digits_of, tmp_path / "a", tmp_path / "run", epochs=1) == [0, 0]
    assert runs.fit_digits(tmp_path / "run").step == runs.STEPS
    steps = [line["step"] for line in runs.metrics(tmp_path / "run") if "train/loss" in line]
    assert steps == list(range(1, runs.STEPS + 1))


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_signal_to_one_process_ends_all_at_one_step(parallel, tmp_path):
    options = {"log_every": 100, "save_every": None, "parallel": parallel}
    codes = runs.together(signalled, tmp_path / "meeting", tmp_path / "run", **options)
    assert codes == [75, 75]
    assert runs.state(tmp_path / "run")["step"] == 6  # the others hear of it in the next step


def signalled(meeting, out, rank, world_size, **changes):
    """Rank 1 is sent a signal in step 5."""

    def step(self, x):
        if rank == 1 and self.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, x)

    train_step, runs.Trainer.train_step = runs.Trainer.train_step, step
    try:
        runs.fit_digits_of(meeting, out, rank, world_size, **changes)
    except KeyboardInterrupt as end:
        os._exit(end.exit_code)


SMALL = (
    *("--batch-size", 100, "--samples", 3, "--images", 5, "--steps", 4),
    *("--set", "channels=4", "--set", "latent=3", "--set", "log_every=1"),
)


def test_the_command_line_trains_and_evaluates_in_two_processes(start, torchrun, tmp_path):
    train = ("train", "vae_digits", "--out", tmp_path / "run", *SMALL)
    first, second = torchrun(*train, "--resume")  # begins it: torchrun has one command for all attempts
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "log p(x)" in first[1]
    assert second[1] == ""
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if "train/loss" in line] == [1, 2, 3, 4]
    for method in (("--samples", 7), ("--method", "ais", "--chains", 2, "--steps", 2, "--leapfrog", 1)):
        arguments = ("evaluate", tmp_path / "run", "--images", 3, *method)
        two = torchrun(*arguments, "--json", tmp_path / "two.json")
        assert [code for code, _, _ in two] == [0, 0], two
        assert two[0][1].count("log p(x)") == 1
        assert two[1][1:] == ("", "")
        one = runs.Command(*arguments, "--json", tmp_path / "one.json").end()
        assert one[0] == 0, one
        alone, shared = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
        numbers = [name for name, value in alone.items() if isinstance(value, (int, float))]
        assert alone.keys() == shared.keys()
        assert "log_likelihood" in numbers
        for name in numbers:
            assert shared[name] == pytest.approx(alone[name], rel=1e-5)  # float32: as for another --chunk
    # It is trained on, until one of the processes is killed.
    first, second = start(*train, "--resume", "--steps", 10**6)
    assert any(line.startswith("step 7/") for line in first.err)  # waits for it
    second.process.kill()
    code, _, said = first.end()
    assert code == 75, said
    assert "another process has ended; resume with: torchrun --nproc-per-node 2" in said.splitlines()[-1]
    assert "Traceback" not in said
    # The folder is now in the way: nobody hangs, and nobody prints a traceback.
    for code, _, err in torchrun(*train):
        assert code == 2
        assert err.startswith("zoo: "), err
