"""How far a run is: a bar on a terminal, plain lines anywhere else (a file, a batch system)."""

import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

# Of a stream that is closed, full or None. That nobody reads is no reason to stop training.
_GONE = (OSError, ValueError, AttributeError)


class Progress:
    """Shows steps done, rate, time left and the latest values.

    On a terminal every `update` moves the bar. Elsewhere a line is written by those that bring values,
    so whoever trains decides how often by when it gives them.

    Args:
        total_steps: steps of the whole run.
        start: steps done before, by the run that this one resumes.
        unit: what a step is called.
        stream: where to; standard error by default.
    """

    def __init__(
        self,
        total_steps: int,
        start: int = 0,
        *,
        unit: str = "step",
        stream: TextIO | None = None,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._total, self._start, self._unit = total_steps, start, unit
        self._began = time.monotonic()
        self._bar: _Bar | None = None
        if _is_terminal(self._stream):
            self._bar = _Bar(
                total=total_steps, initial=start, unit=unit, file=self._stream, dynamic_ncols=True
            )

    def update(self, step: int, values: Mapping[str, float] | None = None) -> None:
        """Say that `step` steps are done, with what was measured, e.g. the loss and the KL in nats."""
        if self._bar is None:
            if values is not None:
                self.write(f"{self._position(step)}  {format_values(values)}  {self._pace(step)}")
            return
        if values is not None:
            self._bar.set_postfix_str(format_values(values), refresh=False)
        with suppress(*_GONE):
            self._bar.update(step - self._bar.n)

    def write(self, line: str) -> None:
        """Write a line, above the bar if there is one."""
        with suppress(*_GONE):
            if self._bar is not None:
                self._bar.write(line, file=self._stream)
                return
            self._stream.write(line + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the bar as it stands."""
        with suppress(*_GONE):
            if self._bar is not None:
                self._bar.close()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _position(self, step: int) -> str:
        return f"{self._unit} {step}/{self._total}"

    def _pace(self, step: int) -> str:
        done, seconds = step - self._start, time.monotonic() - self._began
        if done <= 0 or seconds <= 0:
            return "[rate unknown yet]"
        rate = done / seconds
        left = tqdm.format_interval(max(0, self._total - step) / rate)
        return f"[{rate:.3g} {self._unit}/s, {left} left]"


def format_values(values: Mapping[str, float]) -> str:
    """Write values on one line, five digits each.

    >>> format_values({"loss_nats": 19.28511, "kl_nats": 8})
    'loss_nats 19.285, kl_nats 8'
    """
    return ", ".join(f"{name} {value:.5g}" for name, value in values.items())


class _Bar(tqdm):
    monitor_interval = 0  # no thread that watches the bar: data workers fork from this process


def _is_terminal(stream: Any) -> bool:
    with suppress(*_GONE):
        return bool(stream.isatty())
    return False


# tqdm's own lock is a semaphore shared between processes; one process draws this bar.
_Bar.set_lock(threading.RLock())
