"""Faults are injected; what loads must be one of the states that were saved, or nothing.

Kills and full disks happen to children forked from a process that has imported torch already, so that the
import does not eat the time before each kill.
"""

import errno
import json
import os
import pickle
import random
import shutil
import signal
import time
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training import runs
from zoo.errors import CheckpointError
from zoo.training import checkpoint_format, files
from zoo.training.checkpoint import load_checkpoint, load_latest, previous_path, save_checkpoint


def make_state(step, size=500):
    return {
        "step": step,
        "loss": 1.5,
        "name": "biva",
        "resumed": True,
        "average": None,
        "model": OrderedDict(weight=torch.full((size,), float(step)), bias=torch.arange(3)),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}, "groups": [{"betas": (0.9, 0.999)}]},
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def leftovers(folder):
    return [p.name for p in Path(folder).iterdir() if p.name.endswith(".tmp")]


@pytest.fixture
def saved(tmp_path):
    """last.pt of step 2, last.previous.pt of step 1."""
    for step in (1, 2):
        save_checkpoint(tmp_path / "last.pt", make_state(step))
    return tmp_path / "last.pt"


# Sound checkpoints


def test_state_comes_back(tmp_path):
    save_checkpoint(tmp_path / "a" / "b" / "last.pt", make_state(7))
    assert same(load_checkpoint(tmp_path / "a" / "b" / "last.pt"), make_state(7))


def test_optimizer_and_module_states_can_be_saved(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "x.pt", {"net": net.state_dict(), "optimizer": optimizer.state_dict()})
    state = load_checkpoint(tmp_path / "x.pt")
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])


def test_previous_checkpoint_is_kept(saved):
    assert load_checkpoint(saved)["step"] == 2
    assert load_checkpoint(previous_path(saved))["step"] == 1
    assert load_latest(saved.parent)["step"] == 2
    assert sorted(os.listdir(saved.parent)) == ["last.previous.pt", "last.pt"]


def test_previous_is_kept_without_hard_links(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    for step in (1, 2, 3):
        save_checkpoint(tmp_path / "last.pt", make_state(step))
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 3
    assert load_checkpoint(tmp_path / "last.previous.pt")["step"] == 2
    assert not leftovers(tmp_path)


def test_leftovers_of_a_killed_writer_are_reused(saved):
    for name in (".last.pt.tmp", ".last.pt.previous.tmp"):
        (saved.parent / name).write_bytes(b"half a che")
    save_checkpoint(saved, make_state(3))
    assert not leftovers(saved.parent)
    assert load_latest(saved.parent)["step"] == 3
    assert load_checkpoint(previous_path(saved))["step"] == 2


def test_folder_without_fsync_is_no_failure(saved, monkeypatch):
    sync = os.fsync

    def files_only(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    save_checkpoint(saved, make_state(3))
    assert load_latest(saved.parent)["step"] == 3


@pytest.mark.parametrize(
    "value",
    [np.float64(1.0), np.ones(2), {1, 2}, b"bytes", lambda: 0, torch.Size([1]), OSError, Path("x")],
    ids=lambda v: type(v).__name__,
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, value):
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\]"):
        save_checkpoint(tmp_path / "last.pt", {"a": [0, value]})
    assert not list(tmp_path.iterdir())


def test_keys_are_plain(tmp_path):
    with pytest.raises(TypeError, match="plain keys in state"):
        save_checkpoint(tmp_path / "last.pt", {("a", 1): 2})


# Damaged files


def test_truncation_is_detected(saved):
    content = saved.read_bytes()
    for k in range(50):
        saved.write_bytes(content[: k * len(content) // 50])
        with pytest.raises(CheckpointError, match=r"truncated|empty"):
            load_checkpoint(saved)


def test_appended_bytes_are_detected(saved):
    with open(saved, "ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_checkpoint(saved)


def test_bit_flips_are_detected(saved):
    content, numbers = saved.read_bytes(), random.Random(0)
    header = list(range(8 * 60))  # every bit of the header and some of the payload
    anywhere = [numbers.randrange(8 * len(content)) for _ in range(200)]
    for bit in header + anywhere:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(flipped)
        with pytest.raises(CheckpointError):
            load_checkpoint(saved)
        with pytest.warns(RuntimeWarning, match=r"last\.previous\.pt"):
            assert load_latest(saved.parent)["step"] == 1


def test_zeroed_pages_are_detected(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, make_state(1, size=50_000))
    content = path.read_bytes()
    for start in range(0, len(content), 4096):
        page = content[start : start + 4096]
        path.write_bytes(content[:start] + bytes(len(page)) + content[start + 4096 :])
        if any(page):
            with pytest.raises(CheckpointError):
                load_checkpoint(path)


def test_messages_are_one_line_and_name_the_file(saved, tmp_path):
    content = saved.read_bytes()
    torch.save({"a": 1}, tmp_path / "torch.pt")
    cases = {
        "empty": b"",
        "truncated": content[:30],
        "expected .* bytes": content[:-1],
        "sha256": content[:-1] + bytes([content[-1] ^ 1]),
        "torch.save": (tmp_path / "torch.pt").read_bytes(),
        "pickle": pickle.dumps({"a": 1}),
        "ZOOCKPT": b"Hello, world",
    }
    for expected, damaged in cases.items():
        saved.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=expected) as caught:
            load_checkpoint(saved)
        assert str(saved) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "expected" in str(caught.value)
        assert "got" in str(caught.value)
        assert "last.previous.pt" in str(caught.value)


def test_missing_file_and_folder_in_its_place(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="got a folder"):
        load_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="neither"):
        load_latest(tmp_path)
    with pytest.raises(CheckpointError, match="neither"):
        load_latest(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.parametrize("names", [["last.pt"], ["last.pt", "last.previous.pt"]])
def test_a_fifo_in_its_place_is_refused_and_not_waited_for(names, saved):
    for name in names:
        (saved.parent / name).unlink()
        os.mkfifo(saved.parent / name)
    with pytest.raises(CheckpointError, match="got a FIFO"):
        load_latest(saved.parent)


def test_state_must_be_a_dict(tmp_path):
    save_checkpoint(tmp_path / "x.pt", [1, 2])
    with pytest.raises(CheckpointError, match="expected a dict; got list"):
        load_checkpoint(tmp_path / "x.pt")


# The one before


def test_where_there_is_none_before_it_is_not_advised(saved):
    (saved.parent / "last.previous.pt").unlink()
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"truncated.*; use a copy, or train again$"):
        load_latest(saved.parent)


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b""), lambda p: p.unlink()])
def test_latest_falls_back_with_a_warning(saved, damage):
    damage(saved)
    with pytest.warns(RuntimeWarning, match=r"last\.pt.*; resuming from .*last\.previous\.pt"):
        assert same(load_latest(saved.parent), make_state(1))


def test_saving_over_a_damaged_file_always_leaves_a_good_one(saved):
    saved.write_bytes(b"")
    save_checkpoint(saved, make_state(3))
    assert load_latest(saved.parent)["step"] == 3


def test_latest_names_both_when_neither_is_good(saved):
    saved.write_bytes(b"")
    previous_path(saved).write_bytes(b"PK\3\4")
    with pytest.raises(CheckpointError, match=r"last\.pt.*empty.*last\.previous\.pt.*zip"):
        load_latest(saved.parent)


def test_newer_format_is_refused_not_passed_over(saved):
    payload = b"whatever a later version writes"
    saved.write_bytes(checkpoint_format.header(2, payload) + payload)
    with pytest.raises(CheckpointError, match="expected version 1; got 2"):
        load_latest(saved.parent)


# Hostile files


class Hostile:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def hostile_payloads(folder, marker):
    """Bare pickles, torch's formats new and old."""
    for protocol in (0, 2, 4):
        yield pickle.dumps(Hostile(marker), protocol=protocol)
    for options in ({}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}):
        torch.save({"model": Hostile(marker)}, folder / "x", **options)
        yield (folder / "x").read_bytes()


def test_hostile_pickle_never_runs(saved, tmp_path):
    marker = tmp_path / "marker"
    for payload in hostile_payloads(tmp_path, marker):
        for content in (payload, checkpoint_format.header(1, payload) + payload):
            saved.write_bytes(content)
            with pytest.raises(CheckpointError) as caught:
                load_checkpoint(saved)
            assert "\n" not in str(caught.value)
            assert "weights_only" not in str(caught.value)
            assert not marker.exists()
    # The marker would have been made: the payload is live.
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists()


def test_hostile_pickle_with_a_valid_digest_is_named_and_not_passed_over(saved, tmp_path):
    payload = list(hostile_payloads(tmp_path, tmp_path / "marker"))[3]
    saved.write_bytes(checkpoint_format.header(1, payload) + payload)
    with pytest.raises(CheckpointError, match=r"not a weights file.*(posix|nt)\.system"):
        load_latest(saved.parent)


def test_a_script_is_no_weights_file(saved, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; its files are still about
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script"))
    payload = (tmp_path / "script").read_bytes()
    saved.write_bytes(checkpoint_format.header(1, payload) + payload)
    with pytest.raises(CheckpointError, match="not a weights file") as caught:
        load_checkpoint(saved)
    assert "weights_only" not in str(caught.value)


def test_nonsense_with_a_valid_digest(saved):
    for payload in (b"", b"nonsense", b"PK\3\4 nonsense"):
        saved.write_bytes(checkpoint_format.header(1, payload) + payload)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(saved)
        assert "\n" not in str(caught.value)


def test_the_environment_cannot_allow_code(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    test_hostile_pickle_with_a_valid_digest_is_named_and_not_passed_over(saved, tmp_path)
    assert not (tmp_path / "marker").exists()


# Failures while saving


def failing(monkeypatch, name, nth):
    real, count = getattr(os, name), iter(range(1, 100))

    def fail(*args, **kwargs):
        if next(count) == nth:
            raise OSError(errno.EIO, "Input/output error")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize(("name", "nth"), [("fsync", 1), ("replace", 1), ("replace", 2), ("fsync", 2)])
def test_failure_while_saving_leaves_a_good_checkpoint(saved, monkeypatch, name, nth):
    failing(monkeypatch, name, nth)
    with pytest.raises(CheckpointError, match=r"last\.pt.*bytes.*Input/output error.*intact") as caught:
        save_checkpoint(saved, make_state(3))
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert not leftovers(saved.parent)
    renamed = (name, nth) not in [("fsync", 1), ("replace", 1)]
    assert same(load_latest(saved.parent), make_state(3 if renamed else 2))
    assert same(load_checkpoint(previous_path(saved)), make_state(2 if nth == 2 and name == "fsync" else 1))


def test_link_and_its_stand_in_may_both_fail(saved, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(saved, make_state(3))
    monkeypatch.undo()
    assert not leftovers(saved.parent)
    assert load_checkpoint(saved)["step"] == 2
    assert load_checkpoint(previous_path(saved))["step"] == 1


def test_no_room_for_a_folder(tmp_path):
    (tmp_path / "file").write_text("a user's")
    with pytest.raises(CheckpointError, match=r"file.*last\.pt.*bytes"):
        save_checkpoint(tmp_path / "file" / "last.pt", make_state(1))
    (tmp_path / "last.pt").mkdir()
    with pytest.raises(CheckpointError):
        save_checkpoint(tmp_path / "last.pt", make_state(1))
    assert not leftovers(tmp_path)
    assert (tmp_path / "file").read_text() == "a user's"


def test_file_that_may_not_be_made(saved, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    for module in (checkpoint_format, files):
        monkeypatch.setattr(module, "open", refuse, raising=False)
    with pytest.raises(CheckpointError, match=r"last\.pt.*bytes.*Permission denied"):
        save_checkpoint(saved, make_state(3))
    with pytest.raises(CheckpointError, match=r"could not read.*Permission denied"):
        load_latest(saved.parent)  # no damage: going back would lose what was trained


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do anything")
def test_no_permission(saved):
    saved.parent.chmod(0o500)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            save_checkpoint(saved, make_state(3))
    finally:
        saved.parent.chmod(0o700)
    assert load_latest(saved.parent)["step"] == 2


# Kills and full disks, in children


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("children are forked")
    folder = tmp_path_factory.mktemp("children")
    assert runs.in_process(inject, folder) == 0
    return json.loads((folder / "reports.json").read_text())


def test_kills_at_random_times(reports):
    for kill in reports["random_kills"]:
        assert kill["whole"], kill
        assert kill["loaded"] >= kill["finished"], kill
        assert kill["warnings"] == [], kill


def test_kills_at_each_call_of_a_save(reports):
    kills = reports["kills_at_each_call"]
    assert {kill["name"] for kill in kills} == {"fsync", "link", "replace", "unlink"}
    for kill in kills:
        assert kill["whole"], kill
        assert kill["loaded"] in (2, 3), kill
        assert kill["saved_again"] == 4, kill
        assert kill["leftovers"] == [], kill


def test_full_disk(reports):
    for full in reports["full_disks"]:
        assert full["error"].count("\n") == 0, full
        assert f"{full['needed']} bytes" in full["error"], full
        assert "File too large" in full["error"], full
        assert full["loaded"] == 2, full
        assert full["previous"] == 1, full
        assert full["leftovers"] == [], full


def forked(work):
    """Start `work` in a child; its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def is_whole(state, size):
    return same(state, make_state(state["step"], size))


def random_kills(folder, kills=12, size=100_000):
    numbers, reports = random.Random(time.time_ns()), []
    for _ in range(kills):
        finished, tell = os.pipe()

        def save_on_and_on(tell=tell):
            first = load_latest(folder)["step"] + 1 if (folder / "last.pt").exists() else 0
            for step in range(first, 10**6):
                save_checkpoint(folder / "last.pt", make_state(step, size))
                os.write(tell, f"{step} ".encode())

        child = forked(save_on_and_on)
        told = os.read(finished, 100)  # a first save, then any moment
        time.sleep(numbers.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(tell)
        while more := os.read(finished, 10_000):
            told += more
        os.close(finished)
        with warnings.catch_warnings(record=True) as caught:
            state = load_latest(folder)
        reports.append(
            {
                "whole": is_whole(state, size),
                "loaded": state["step"],
                "finished": int(told.split()[-1]),
                "warnings": [str(w.message) for w in caught],
            }
        )
    return reports


def kills_at_each_call(folder):
    def dying(name, nth, after):
        real, count = getattr(os, name), iter(range(1, 100))

        def call(*args, **kwargs):
            fatal = next(count) == nth
            if fatal and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        def work():
            setattr(os, name, call)
            save_checkpoint(folder / "last.pt", make_state(3))

        return work

    reports = []
    for name, calls in {"fsync": 2, "link": 1, "replace": 2, "unlink": 3}.items():
        for nth in range(1, calls + 1):
            for after in (False, True):
                for step in (1, 2):
                    save_checkpoint(folder / "last.pt", make_state(step))
                _, status = os.waitpid(forked(dying(name, nth, after)), 0)
                if not os.WIFSIGNALED(status) and not (name == "unlink" and after):
                    raise AssertionError(f"{name} {nth} was not called")
                state = load_latest(folder)
                save_checkpoint(folder / "last.pt", make_state(4))
                reports.append(
                    {
                        "name": name,
                        "nth": nth,
                        "after": after,
                        "whole": is_whole(state, 500),
                        "loaded": state["step"],
                        "saved_again": load_latest(folder)["step"],
                        "leftovers": leftovers(folder),
                    }
                )
    return reports


def full_disks(folder):
    import resource

    for step in (1, 2):
        save_checkpoint(folder / "last.pt", make_state(step))
    needed = (folder / "last.pt").stat().st_size

    def save(limit, tell):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            save_checkpoint(folder / "last.pt", make_state(3))
        except CheckpointError as error:
            os.write(tell, str(error).encode())

    reports = []
    for limit in (0, 1, 51, 52, 53, 1000, 4096, needed // 2, needed - 4096, needed - 1):
        listen, tell = os.pipe()
        os.waitpid(forked(lambda limit=limit, tell=tell: save(limit, tell)), 0)
        os.close(tell)
        reports.append(
            {
                "needed": needed,
                "error": os.read(listen, 10_000).decode(),
                "loaded": load_latest(folder)["step"],
                "previous": load_checkpoint(previous_path(folder / "last.pt"))["step"],
                "leftovers": leftovers(folder),
            }
        )
        os.close(listen)
    return reports


def inject(folder):
    """All of them in a process that is not the tests'; writes down what each left."""
    warnings.simplefilter("error")
    found = {}
    for task in (random_kills, kills_at_each_call, full_disks):
        place = folder / task.__name__
        place.mkdir()
        found[task.__name__] = task(place)
    (folder / "reports.json").write_text(json.dumps(found))
