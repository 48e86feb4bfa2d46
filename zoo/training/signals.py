"""Signals that ask a process to end, SIGTERM and SIGINT (Ctrl-C), and the command that starts it again."""

import os
import shlex
import signal
import threading
from collections.abc import Sequence
from typing import Any

from zoo.errors import Interrupted


class StopRequest:
    """Within it, SIGTERM and SIGINT set `received`, or raise `Interrupted` where they come.

    A command is run within ``StopRequest(at_once=True)``. The training loop is within one of its own, which
    lets a step and the saving of a checkpoint finish. A signal is never lost: where nothing was raised
    for it, because the work was done or an exception in a finaliser went nowhere, `Interrupted` is raised
    at the end of the block. A second SIGINT ends the process at once, except under torchrun, which
    sends one more to processes that have had it from the terminal.

    Outside the main thread signals cannot be caught, and go where they went before.

    Args:
        at_once: whether `Interrupted` is raised when the signal comes.

    Raises:
        Interrupted: see above.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.received = False
        self.at_once = at_once
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.received and kind is None:
            raise Interrupted("interrupted")

    def _receive(self, number: int, frame: Any) -> None:
        again, self.received = self.received, True
        if again and number == signal.SIGINT and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise KeyboardInterrupt
        if self.at_once and not again:
            raise Interrupted("interrupted")


def same_command(arguments: Sequence[str]) -> str:
    """The command line that runs ``zoo`` with these arguments as it was started, in as many processes.

    >>> same_command(["train", "vae_digits", "--out", "a run"])
    "zoo train vae_digits --out 'a run'"
    """
    started = os.environ
    if int(started.get("WORLD_SIZE", "1")) == 1:
        return f"zoo {shlex.join(arguments)}"
    launcher = ["torchrun", "--nproc-per-node", started.get("LOCAL_WORLD_SIZE", started["WORLD_SIZE"])]
    if int(started.get("GROUP_WORLD_SIZE", "1")) > 1:
        launcher += ["--nnodes", started["GROUP_WORLD_SIZE"], "--node-rank", started["GROUP_RANK"]]
        launcher += ["--master-addr", started["MASTER_ADDR"], "--master-port", started["MASTER_PORT"]]
    return shlex.join([*launcher, "-m", "zoo", *arguments])
