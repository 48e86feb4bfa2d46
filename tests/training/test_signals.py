"""Signals: within a command they end it where they come, within the loop after the step; none is lost."""

import os
import signal
import threading
from contextlib import ExitStack, suppress

import pytest

from tests.training import runs
from zoo.errors import Interrupted
from zoo.training import trainer
from zoo.training.signals import StopRequest, same_command

SIGNALS = [signal.SIGTERM, signal.SIGINT]


def send(number):
    os.kill(os.getpid(), number)


class Work:
    """Something that is done in two parts, with signals between them."""

    def __init__(self, *numbers):
        self.numbers, self.done = numbers, 0

    def __call__(self):
        for number in self.numbers:
            os.kill(os.getpid(), number)
        self.done += 1

    def within(self, *requests):
        with ExitStack() as stack:
            for request in requests:
                stack.enter_context(request)
            self()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("at_once", [False, True])
def test_the_work_is_ended_where_the_signal_comes_or_after_it(at_once, number):
    work = Work(number)
    with pytest.raises(Interrupted) as caught:
        work.within(StopRequest(at_once=at_once))
    assert caught.value.exit_code == 75
    assert work.done == (0 if at_once else 1)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_whose_exception_was_swallowed_is_heeded_at_the_end(number):
    def swallowing():
        with StopRequest(at_once=True), suppress(BaseException):
            send(number)

    with pytest.raises(Interrupted):
        swallowing()


def test_a_mistake_is_not_hidden_by_a_signal():
    def mistaken():
        with StopRequest():
            send(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mistaken()


def test_a_second_interrupt_ends_at_once():
    work = Work(signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        work.within(StopRequest())
    assert not isinstance(caught.value, Interrupted)
    assert work.done == 0


def test_under_torchrun_a_second_interrupt_is_the_first_one_handed_on(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    work = Work(signal.SIGINT, signal.SIGINT)
    with pytest.raises(Interrupted):
        work.within(StopRequest())
    assert work.done == 1


def test_the_request_of_a_loop_is_within_that_of_a_command():
    step, after = Work(signal.SIGTERM), Work()

    def command():
        with StopRequest(at_once=True):
            step.within(StopRequest())
            after()

    with pytest.raises(Interrupted):
        command()
    assert (step.done, after.done) == (1, 0)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(Interrupted):
        Work(signal.SIGTERM).within(StopRequest(at_once=True))
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_in_another_thread_nothing_is_caught():
    before, seen = [signal.getsignal(number) for number in SIGNALS], []

    def work():
        with StopRequest():
            seen.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before


# The loop


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_the_last_save_is_heeded(number, tmp_path, monkeypatch):
    save = trainer.save_checkpoint

    def interrupted(path, state):
        send(number)
        save(path, state)

    monkeypatch.setattr(trainer, "save_checkpoint", interrupted)
    with pytest.raises(Interrupted, match="at step 4 of 4"):
        runs.fit_digits(tmp_path / "run", epochs=1, save_every=None)
    assert runs.state(tmp_path / "run")["step"] == 4


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_callback_ends_the_run_after_it(number, tmp_path):
    seen = []

    def interrupted(trainer):
        send(number)
        seen.append(trainer.step)

    with pytest.raises(Interrupted, match="at step 4 of 12"):
        runs.fit_digits(tmp_path / "run", callbacks=[interrupted], save_every=None)
    assert seen == [4]
    assert runs.state(tmp_path / "run")["step"] == 4


# The command


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "zoo train x --resume"),
        (
            {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"},
            "torchrun --nproc-per-node 2 -m zoo train x --resume",
        ),
        (
            {
                **{"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "GROUP_RANK": "1"},
                **{"MASTER_ADDR": "node0", "MASTER_PORT": "29500"},
            },
            "torchrun --nproc-per-node 4 --nnodes 2 --node-rank 1 --master-addr node0 --master-port 29500 "
            "-m zoo train x --resume",
        ),
    ],
)
def test_the_command_starts_as_many_processes(environment, expected, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert same_command(["train", "x", "--resume"]) == expected
