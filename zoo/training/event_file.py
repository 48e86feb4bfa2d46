"""TensorBoard's `SummaryWriter`, writing at once instead of from a thread.

The stock writer hands events to a thread. What is in its queue when the process is killed is lost; a
full disk prints the thread's traceback over the progress bar; and a process with threads should not
fork data workers. Here an event is in the file when `flush` returns, and a failure is an exception in
the caller's hands.
"""

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import FileWriter, SummaryWriter


class EventFileWriter(SummaryWriter):
    """A `SummaryWriter` without a thread.

    Args:
        log_dir: Folder of the event files, made if need be.
        purge_step: What earlier files hold for this step and later ones is hidden.
    """

    file_writer: Any
    all_writers: Any

    def _get_file_writer(self) -> Any:
        if self.all_writers is None or self.file_writer is None:
            self.file_writer = _File(Path(self.log_dir))
            self.all_writers = {self.log_dir: self.file_writer}
            try:
                self._announce()
            except OSError:
                self.abandon()
                raise
        return self.file_writer

    def _announce(self) -> None:
        self.file_writer.add_event(Event(file_version="brain.Event:2"))
        if self.purge_step is not None:
            start = SessionLog(status=SessionLog.START)
            self.file_writer.add_event(Event(session_log=start), self.purge_step)
        self.file_writer.flush()

    def abandon(self) -> None:
        """Close after a failure; what could not be written is dropped."""
        if self.file_writer is not None:
            with suppress(OSError):
                self.file_writer.close()
        self.file_writer = self.all_writers = None


class _File(FileWriter):
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names. The stock name counts seconds: of two
        # files of one second the later one may come first, and then purges nothing.
        seconds, rest = divmod(time.time_ns(), 10**9)
        name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter(open(folder / name, "xb"))  # noqa: SIM115 - closed by close()
        self._folder = folder

    def get_logdir(self) -> str:
        return str(self._folder)

    def add_event(self, event: Event, step: int | None = None, walltime: float | None = None) -> None:
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        self._records.flush()

    def close(self) -> None:
        self._records.close()
