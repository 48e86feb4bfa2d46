import builtins
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from zoo.errors import CheckpointError, UsageError
from zoo.training import lock
from zoo.training.run_folder import RunFolder
from zoo.training.stamps import stamped, unstamped

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "zoo" / "training" / "run_folder.py"

CONFIG = {"model": "biva", "lr": 1e-3, "widths": (64, 32), "nested": {"ema": None}}


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", CONFIG)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "expected" in text
    assert "got" in text
    return text


# create, open


def test_opens_as_created(tmp_path):
    created = RunFolder.create(tmp_path / "a" / "b" / "run", CONFIG)
    opened = RunFolder.open(tmp_path / "a" / "b" / "run")
    assert opened.config == created.config == json.loads(json.dumps(CONFIG))
    assert sorted(os.listdir(created.path)) == [".lock", "config.json"]


def test_layout(run):
    inside = {
        run.metrics_file: "metrics.jsonl",
        run.last_checkpoint: "checkpoints/last.pt",
        run.checkpoints: "checkpoints",
        run.pictures: "pictures",
    }
    for path, name in inside.items():
        assert path == run.path / name


def test_create_takes_an_empty_folder(tmp_path):
    assert RunFolder.create(tmp_path, CONFIG).path == tmp_path


def test_create_leaves_what_is_there(tmp_path):
    (tmp_path / "thesis.tex").write_text("three years")
    with pytest.raises(UsageError, match=r"files in it; choose another --out") as error:
        RunFolder.create(tmp_path, CONFIG)
    assert str(tmp_path) in one_line(error)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(UsageError, match="got a file") as error:
        RunFolder.create(tmp_path / "thesis.tex", CONFIG)
    one_line(error)
    with pytest.raises(UsageError) as error:
        RunFolder.create(tmp_path / "thesis.tex" / "run", CONFIG)
    one_line(error)
    assert (tmp_path / "thesis.tex").read_text() == "three years"


def test_of_two_that_create_one_run_at_once_one_trains(tmp_path):
    first = RunFolder.create(tmp_path / "run", {"seed": 1})
    second = RunFolder.create(tmp_path / "run", {"seed": 2})
    with pytest.raises(UsageError, match=r"another.*--out"), first.lock():
        pass
    with second.lock(), pytest.raises(UsageError, match="--out"):
        RunFolder.create(tmp_path / "run", {"seed": 3})
    assert RunFolder.open(tmp_path / "run").config == {"seed": 2}


def test_create_on_a_full_disk(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UsageError, match="No space left") as error:
            RunFolder.create(tmp_path / "run", CONFIG)
    one_line(error)
    assert os.listdir(tmp_path / "run") == [".lock"]
    RunFolder.create(tmp_path / "run", CONFIG)


CALLS = ["mkdir", "open", "fsync", "replace", "unlink"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize("name", CALLS)
def test_a_start_that_was_killed_can_be_started_again(name, tmp_path):
    """Killed before and after every call to the system that creating a run makes."""
    folder = tmp_path / "run"
    for nth in range(1, 4):
        for after in (False, True):
            child = os.fork()
            if child == 0:
                die_in(name, nth, after)
                RunFolder.create(folder, {"seed": 1})
                os._exit(0)
            os.waitpid(child, 0)
            with suppress(UsageError):
                assert RunFolder.open(folder).config == {"seed": 1}
            again = RunFolder.create(folder, {"seed": 2})
            assert RunFolder.open(folder).config == again.config == {"seed": 2}
            assert sorted(os.listdir(folder)) == [".lock", "config.json"]
            shutil.rmtree(folder)


def die_in(name, nth, after):
    """Let the nth call of a function of `os` (or the built-in `open`) be this process's last."""
    module = builtins if name == "open" else os
    real, count = getattr(module, name), itertools.count(1)

    def deadly(*arguments, **keywords):
        fatal = next(count) == nth
        if fatal and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **keywords)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, deadly)


def test_a_run_that_trained_nothing_is_started_again_with_other_options(run):
    """As an out-of-memory start leaves it."""
    (run.path / "events.out.tfevents.1").write_bytes(b"charts")
    run.checkpoints.mkdir()
    (run.checkpoints / ".last.pt.tmp").write_bytes(b"half")
    (run.path / ".config.json.4711.tmp").write_text("{")
    assert RunFolder.create(run.path, {"batch_size": 1}).config == {"batch_size": 1}


TRAINED = {
    "a figure": lambda run: run.append_metrics({"step": 1}),
    "a checkpoint": lambda run: (run.checkpoints.mkdir(), (run.checkpoints / "last.pt").touch()),
    "a picture": lambda run: run.pictures.mkdir(),
    "somebody's file": lambda run: (run.path / "thesis.tex").touch(),
    "a folder called as events": lambda run: (run.path / "events.out.tfevents.1").mkdir(),
    "a configuration of something else": lambda run: (run.path / ".lock").unlink(),
}


@pytest.mark.parametrize("left", TRAINED)
def test_what_was_trained_is_never_started_again(left, run):
    TRAINED[left](run)
    with pytest.raises(UsageError, match="files in it"):
        RunFolder.create(run.path, {"batch_size": 1})
    assert RunFolder.open(run.path).config == run.config


@pytest.mark.parametrize("config", [{"a": float("nan")}, {"a": object()}], ids=["nan", "object"])
def test_config_that_is_not_json_leaves_nothing(tmp_path, config):
    with pytest.raises((TypeError, ValueError)):
        RunFolder.create(tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


def test_open_says_what_is_missing(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("")
    for name, found in {"notes": "without config.json", "file": "a file", "none": "nothing there"}.items():
        with pytest.raises(UsageError, match=found) as error:
            RunFolder.open(tmp_path / name)
        assert str(tmp_path / name) in one_line(error)
    with pytest.raises(UsageError, match="nothing there"):
        RunFolder.open(tmp_path / "neither" / "nor")


def test_open_offers_the_nearest_run(tmp_path, monkeypatch):
    for name in ("biva-digits", "nvae-mnist"):
        RunFolder.create(tmp_path / "runs" / name, CONFIG)
    monkeypatch.chdir(tmp_path)
    for asked, near in {
        "runs/biva-digit": "runs/biva-digits",
        "runs": "runs/biva-digits or runs/nvae-mnist",
    }.items():
        with pytest.raises(UsageError, match=rf"did you mean {near}\?"):
            RunFolder.open(asked)
    monkeypatch.chdir("runs")
    with pytest.raises(UsageError, match=r"did you mean biva-digits\?"):
        RunFolder.open("biva-digit")


WRONG = {
    "format": 2,
    "seed": "three",
    "options": [],
    "experiment": None,
    "image_shape": 8,
    "data_root": 1,
}


@pytest.mark.parametrize("key", WRONG)
def test_open_with_a_value_of_another_kind(key, run):
    (run.path / "config.json").write_text(json.dumps({**run.config, key: WRONG[key]}))
    with pytest.raises(CheckpointError, match=key) as error:
        RunFolder.open(run.path)
    one_line(error)


@pytest.mark.parametrize("seed", [-1, 2**63, True, 1.5])
def test_open_with_a_seed_that_is_none(seed, run):
    (run.path / "config.json").write_text(json.dumps({"seed": seed}))
    with pytest.raises(CheckpointError, match="seed") as error:
        RunFolder.open(run.path)
    one_line(error)


def test_changed_options_are_recorded(run):
    run = RunFolder.create(run.path, {"options": {"clip": None, "epochs": 3}, "seed": 1})
    run.change_options(20, {"clip": 1.0})
    run.change_options(30, {"clip": 2.0, "epochs": 4})
    assert RunFolder.open(run.path).config == run.config
    assert run.config == {
        "options": {"clip": 2.0, "epochs": 4},
        "seed": 1,
        "changes": [
            {"step": 20, "before": {"clip": None}, "after": {"clip": 1.0}},
            {"step": 30, "before": {"clip": 1.0, "epochs": 3}, "after": {"clip": 2.0, "epochs": 4}},
        ],
    }


NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("text", [b"", b'{"model": "bi', b"[1, 2]", b"\xff\xfe", b"\0" * 100, NESTED])
def test_open_with_a_damaged_config(run, text):
    (run.path / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=r"config\.json") as error:
        RunFolder.open(run.path)
    one_line(error)
    assert (run.path / "config.json").read_bytes() == text


def test_needs_no_torch():
    # The command line refuses a bad folder before the seconds that importing torch takes.
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('m', sys.argv[1]); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(MODULE)], check=True, cwd=ROOT)


# lock

HOLDER = """
import importlib.util as util, os, sys
spec = util.spec_from_file_location("run_folder", sys.argv[1])
module = util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.RunFolder.open(sys.argv[2]).lock():
    if len(sys.argv) > 3 and os.fork() == 0:  # a data worker that outlives its trainer
        os.write(1, f"worker {os.getpid()}\\n".encode())
        os.read(0, 1)
        os._exit(0)
    os.write(1, f"locked {os.getpid()}\\n".encode())  # in one piece
    os.read(0, 1)  # until it is killed, or whoever started it has ended
"""


def hold(run, *options):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(MODULE), str(run.path), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


needs_locks = pytest.mark.skipif(lock.fcntl is None, reason="no locks on this system")


@needs_locks
def test_second_process_is_refused_until_the_first_is_killed(run):
    with hold(run) as holder:
        try:
            assert holder.stdout.readline() == f"locked {holder.pid}\n"
            with pytest.raises(UsageError, match=rf"process {holder.pid};.*--out") as error, run.lock():
                pass
            assert str(run.path) in one_line(error)
        finally:
            holder.kill()
    with run.lock():
        assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"


@needs_locks
def test_worker_of_a_killed_trainer_does_not_hold_the_lock(run):
    with hold(run, "worker") as holder:
        said = dict(holder.stdout.readline().split() for _ in range(2))
        worker = int(said["worker"])
        try:
            holder.kill()
            holder.wait()
            with run.lock():
                pass
            os.kill(worker, 0)  # it lives
        finally:
            os.kill(worker, signal.SIGKILL)


@needs_locks
def test_one_process_locks_once_at_a_time(run):
    again = RunFolder.open(run.path)
    with run.lock(), pytest.raises(UsageError, match=f"process {os.getpid()}"), again.lock():
        pass
    with again.lock():
        pass


def test_lock_is_let_go_after_an_error(run):
    with pytest.raises(KeyError), run.lock():
        raise KeyError
    with run.lock():
        pass


def test_lock_where_there_are_none(run, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with run.lock():
        assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"


def test_lock_in_a_folder_that_is_gone(run):
    shutil.rmtree(run.path)
    with pytest.raises(UsageError, match="No such file") as error, run.lock():
        pass
    one_line(error)


# metrics


def test_metrics_are_lines_of_json(run):
    run.append_metrics({"step": 1, "loss_nats": 19.25, "bad": float("nan"), "worse": [float("-inf"), 2]})
    run.append_metrics({"step": 2, "loss_nats": 18.5})

    def no_constants(name):
        raise AssertionError(f"{name} is not JSON")

    lines = run.metrics_file.read_text().splitlines()
    parsed = [json.loads(line, parse_constant=no_constants) for line in lines]
    assert [unstamped(line) for line in parsed] == [(line, True) for line in run.read_metrics()]
    assert run.read_metrics() == [
        {"step": 1, "loss_nats": 19.25, "bad": None, "worse": [None, 2]},
        {"step": 2, "loss_nats": 18.5},
    ]


def test_metrics_take_scalars_of_torch_and_numpy(run):
    import numpy as np
    import torch

    run.append_metrics(
        {"step": 3, "a": torch.tensor(0.5), "b": np.float32(0.25), "c": torch.tensor(torch.inf)}
    )
    assert run.read_metrics() == [{"step": 3, "a": 0.5, "b": 0.25, "c": None}]


def test_metrics_need_a_step(run):
    with pytest.raises(ValueError, match=r"expected a 'step'.*got \['loss_nats'\]"):
        run.append_metrics({"loss_nats": 1.0})
    assert run.read_metrics() == []


def test_truncating_drops_later_steps(run):
    for step in (1, 2, 2, 3, 4):
        run.append_metrics({"step": step})
    before = run.metrics_file.read_bytes().splitlines()
    run.truncate_metrics(2)
    assert run.metrics_file.read_bytes().splitlines() == before[:3]
    assert sorted(os.listdir(run.path)) == [".lock", "config.json", "metrics.jsonl"]


@pytest.mark.parametrize("torn", [b'{"step": 2, "lo', b"\0\0\0\0", b'{"step": 2}\xff', b"7", b"{}", b"[1]"])
def test_torn_last_line(run, torn):
    run.append_metrics({"step": 1})
    with open(run.metrics_file, "ab") as file:
        file.write(torn)
    run.append_metrics({"step": 2})  # not glued to it
    assert [m["step"] for m in run.read_metrics()] == [1, 2]
    run.truncate_metrics(5)
    whole = (json.dumps(stamped({"step": step})) + "\n" for step in (1, 2))
    assert run.metrics_file.read_text() == "".join(whole)


def test_truncating_what_is_not_there(run):
    run.truncate_metrics(3)
    assert not run.metrics_file.exists()


def test_truncating_on_a_full_disk_keeps_all(run, monkeypatch):
    for step in range(5):
        run.append_metrics({"step": step})

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        run.truncate_metrics(2)
    assert len(run.read_metrics()) == 5
    assert sorted(os.listdir(run.path)) == [".lock", "config.json", "metrics.jsonl"]


# Damage


def test_a_flipped_bit_of_the_configuration_is_refused_or_harmless(run):
    path, config = run.path / "config.json", run.config
    content, refused = path.read_bytes(), 0
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = RunFolder.open(run.path).config
        except CheckpointError:
            refused += 1
        else:
            assert {key: found[key] for key in config} == config
    assert refused > 4 * len(content)


def test_a_configuration_edited_by_hand_opens_without_its_checksum(run):
    path = run.path / "config.json"
    config = json.loads(path.read_text()) | {"seed": 77}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="edited by hand"):
        RunFolder.open(run.path)
    del config["crc32"]
    path.write_text(json.dumps(config))
    assert RunFolder.open(run.path).config["seed"] == 77


def test_a_flipped_bit_of_a_figure_leaves_its_line_out(run):
    for step in (1, 2):
        run.append_metrics({"step": step, "loss_nats": 19.25})
    run.metrics_file.write_bytes(run.metrics_file.read_bytes().replace(b"19.25", b"17.25", 1))
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert run.read_metrics() == [{"step": 2, "loss_nats": 19.25}]
    with pytest.warns(RuntimeWarning, match="damaged"):
        run.truncate_metrics(2)
    assert run.read_metrics() == [{"step": 2, "loss_nats": 19.25}]
