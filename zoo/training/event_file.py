"""TensorBoard's event files, written at once instead of from a thread.

`torch.utils.tensorboard.SummaryWriter` hands events to a thread. What is in its queue when the process is
killed is lost; a full disk prints the thread's traceback over the progress bar; and a process with threads
should not fork data workers. Here an event is in the file when `flush` returns, and a failure is an exception
in the caller's hands.
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter

from zoo.training.run_folder import EVENTS


class EventFile:
    """A new event file; `add` takes what ``torch.utils.tensorboard.summary`` makes.

    Args:
        folder: of the event files, made if need be.
        purge_step: what earlier files hold for this step and later ones is hidden.

    Raises:
        OSError: from here and from every method, if the file cannot be written.
    """

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names. The stock name counts seconds: of two
        # files of one second the later one may come first, and then purges nothing.
        seconds, rest = divmod(time.time_ns(), 10**9)
        name = f"{EVENTS}{seconds:010d}.{rest:09d}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter(open(folder / name, "xb"))  # noqa: SIM115 - closed by close()
        try:
            self._write(Event(file_version="brain.Event:2"))
            if purge_step is not None:
                self._write(Event(session_log=SessionLog(status=SessionLog.START), step=purge_step))
            self.flush()
        except OSError:
            self.close()
            raise

    def add(self, summary: Any, step: int | None = None) -> None:
        """Write a summary."""
        self._write(Event(summary=summary, step=step))

    def flush(self) -> None:
        """Hand everything to the system."""
        self._records.flush()

    def close(self) -> None:
        """Flush and close."""
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
