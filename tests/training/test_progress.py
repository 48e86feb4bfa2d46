import io
import re
import sys
import threading

import pytest

from zoo.training import progress as module
from zoo.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_where_there_is_no_terminal(clock):
    stream = io.StringIO()
    with Progress(400, stream=stream) as progress:
        clock[0] = 10.0
        for step in range(1, 101):
            progress.update(step)
        progress.update(100, {"loss_nats": 19.28511, "kl_nats": 3.0})
    assert stream.getvalue() == "step 100/400  loss_nats 19.285, kl_nats 3  [10 step/s, 00:30 left]\n"


def test_rate_of_a_resumed_run_counts_its_own_steps(clock):
    stream = io.StringIO()
    progress = Progress(2000, 1000, unit="batch", stream=stream)
    clock[0] = 2.0
    progress.update(1200, {"loss": 1.0})
    assert stream.getvalue() == "batch 1200/2000  loss 1  [100 batch/s, 00:08 left]\n"


def test_rate_before_the_first_step(clock):
    stream = io.StringIO()
    progress = Progress(10, 5, stream=stream)
    progress.update(5, {"loss": 1.0})
    clock[0] = 1.0
    progress.update(10, {"loss": 1.0})
    assert stream.getvalue().splitlines()[0].endswith("[rate unknown yet]")
    assert stream.getvalue().splitlines()[1].endswith("00:00 left]")


def test_bar_on_a_terminal():
    terminal = Terminal()
    with Progress(100, 40, stream=terminal) as progress:
        progress.update(41)
        progress.update(100, {"loss_nats": 19.25, "kl_nats": 3.0})
    last = terminal.getvalue().rstrip("\n").rpartition("\r")[2]
    assert re.search(r"100%.*100/100 .*step/s.*loss_nats 19\.25, kl_nats 3", last)
    assert "40/100" in terminal.getvalue()


def test_lines_go_above_the_bar():
    terminal = Terminal()
    with Progress(10, stream=terminal) as progress:
        progress.write("a line of its own")
    assert "\na line of its own\n" in terminal.getvalue().replace("\r", "\n")


def test_bar_starts_no_thread():
    before = threading.active_count()
    with Progress(10, stream=Terminal()) as progress:
        progress.update(1)
        assert threading.active_count() == before


def test_standard_error_by_default(capsys):
    with Progress(10) as progress:
        progress.update(1, {"loss": 1.0})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("step 1/10  loss 1  [")


@pytest.mark.parametrize("stream", ["closed", "full", "none"])
def test_stream_that_takes_nothing_does_not_stop_a_run(stream, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {"closed": closed, "full": Full(), "none": None}[stream])
    with Progress(10) as progress:
        progress.update(1, {"loss": 1.0})


def test_terminal_that_goes_away_does_not_stop_a_run():
    terminal = Terminal()
    progress = Progress(10, stream=terminal)
    terminal.close()
    progress.update(1)
    progress.update(10, {"loss": 1.0})
    progress.write("a line")
    progress.close()
