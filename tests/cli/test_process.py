"""The settings of a process: the command's own process has them, another program's only where it asks."""

import ctypes
import os
import re
import subprocess
import sys

import pytest
import torch

import zoo
from tests.training import runs
from zoo.cli.main import main

DENORMAL, MAPPED = 1e-39, 2**26  # a denormal float32, and bytes that glibc maps on their own by default


class Allocated(ctypes.Structure):
    """glibc's ``struct mallinfo2``: ten sizes, of which the fourth counts what is mapped on its own."""

    _fields_ = (("before", ctypes.c_size_t * 3), ("hblks", ctypes.c_size_t), ("after", ctypes.c_size_t * 6))


def flushes():
    return bool(torch.tensor(DENORMAL) * 1 == 0)


def maps():
    """Whether glibc maps a large tensor on its own; None with another C library."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = Allocated
    before = libc.mallinfo2().hblks
    held = torch.empty(MAPPED, dtype=torch.uint8)
    mapped = libc.mallinfo2().hblks > before
    del held
    return mapped


def flushes_in_all_threads():
    torch.set_num_threads(2)
    return bool((torch.full((2**21,), DENORMAL) * 1 == 0).all())


def is_tuned():
    return flushes() and maps() in (False, None)


def is_left():
    return not flushes() and maps() in (True, None)


def exit_with(question, act, *arguments, **environment):
    os.environ.update(environment)
    act(*arguments)
    sys.exit(question())


def answer(question, act, *arguments, **environment):
    """What `question` says in a process in which `act` was called."""
    code = runs.in_process(exit_with, question, act, *arguments, **environment)
    assert code in (0, 1)
    return bool(code)


def sample_of(run, out):
    """``zoo sample``, as the process's own command."""
    sys.argv = ["zoo", "sample", str(run), "-n", "1", "--out", str(out)]
    assert main() == 0


def call_sample_of(run, out):
    """``zoo sample``, called by a program."""
    assert main(["sample", str(run), "-n", "1", "--out", str(out)]) == 0


can_flush = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot")


@can_flush
def test_tuning_flushes_denormals_and_maps_no_memory():
    assert answer(is_left, int)
    assert answer(is_tuned, zoo.tune_process)


@can_flush
def test_threads_that_start_later_flush_as_well():
    assert answer(flushes_in_all_threads, zoo.tune_process)


@can_flush
def test_the_allocators_own_variables_have_precedence():
    assert answer(flushes, zoo.tune_process, MALLOC_MMAP_MAX_="65536")
    assert answer(maps, zoo.tune_process, MALLOC_MMAP_MAX_="65536") == answer(maps, int)


def spins(**environment):
    """What OpenMP reports of ``GOMP_SPINCOUNT`` in a new process that is tuned; None with another OpenMP."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    child = subprocess.run(
        [sys.executable, "-c", "import zoo; zoo.tune_process()"],
        env=kept | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    reported = re.search(r"GOMP_SPINCOUNT = '(\d+)'", child.stderr)
    return reported and int(reported[1])


def test_waiting_threads_sleep_soon_where_the_environment_does_not_say_otherwise():
    if spins() is None:
        pytest.skip("PyTorch's threads are not those of GNU's OpenMP")
    assert spins() == 20_000
    assert spins(GOMP_SPINCOUNT="7") == 7
    assert spins(OMP_WAIT_POLICY="passive") == 0


@can_flush
def test_the_command_tunes_its_own_process(trained, tmp_path):
    out = tmp_path / "samples.png"
    assert answer(is_tuned, sample_of, trained, out)


@can_flush
def test_a_process_stays_as_it_is_where_asked_or_where_it_is_anothers(trained, tmp_path):
    assert answer(is_left, sample_of, trained, tmp_path / "a.png", ZOO_TUNE_PROCESS="0")
    assert answer(is_left, call_sample_of, trained, tmp_path / "b.png")


def test_other_c_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    zoo.process.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", None)
    zoo.process.keep_freed_memory()


def test_help_names_the_variable(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "ZOO_TUNE_PROCESS=0" in capsys.readouterr().out
