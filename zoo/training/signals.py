"""Signals that ask a run to end."""

import signal
import threading
from typing import Any


class StopRequest:
    """Within it, SIGTERM and the first SIGINT (Ctrl-C) set `received`; a second SIGINT ends the process.

    Outside the main thread signals cannot be caught, and go where they went before.
    """

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
