"""What a run writes down: TensorBoard events, ``metrics.jsonl`` and a line on the console.

A log is worth less than the run: a disk that is full is warned of once, and training continues.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import Tensor

from zoo.analysis.pictures import grid
from zoo.training.progress import format_values
from zoo.training.run_folder import RunFolder

if TYPE_CHECKING:
    from zoo.training.event_file import EventFile

Scalars = Mapping[str, float | Tensor]


class NullLogger:
    """The logger of a run without a folder: scalars go to `console`, if there is one; the rest nowhere.

    Args:
        console: called with one line for each call of `scalars`, e.g. ``Progress.write``.
    """

    def __init__(self, *, console: Callable[[str], None] | None = None) -> None:
        self._console = console

    def scalars(self, step: int, values: Scalars) -> None:
        """Log numbers, tensors with one element among them, by tag."""
        if self._console is not None:
            self._console(f"step {step}: {format_values(_floats(values))}")

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Log the distribution of the finite elements of each tensor, of any shape."""

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Log each (N, C, H, W) of pixels in [0, 1] as a grid; pixels outside are clamped."""

    def hparams(self, values: Mapping[str, Any], metrics: Iterable[str] = ()) -> None:
        """Show a run's settings beside its `metrics`, the tags of scalars, in TensorBoard's HPARAMS tab.

        Nested settings are named by their path, ``optimizer.lr``. Best called at the start, so that a
        run that dies is shown as well.
        """

    def charts(self, layout: Mapping[str, Mapping[str, Iterable[str]]]) -> None:
        """Show several curves in one chart, in TensorBoard's CUSTOM SCALARS tab; once a run.

        Args:
            layout: ``{category: {chart: tags}}``; the tags of scalars as regular expressions,
                ``["train/kl/.*"]``.
        """

    def flush(self) -> None:
        """Hand everything to the system: a killed process loses nothing that was logged before."""

    def close(self) -> None:
        """Finish; nothing is logged after it."""

    def __enter__(self) -> "NullLogger":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close()


class Logger(NullLogger):
    """Logs into a run's folder.

    Args:
        run_folder: the run.
        purge_step: on resuming, the first step that is trained anew: what TensorBoard's files hold for
            it and later is hidden. A run that is resumed after step s gives s + 1, and
            calls ``run_folder.truncate_metrics(s)``.
        console: called with one line for each call of `scalars`.

    Warns:
        RuntimeWarning: once, when TensorBoard's files or the metrics cannot be written.
    """

    def __init__(
        self,
        run_folder: RunFolder,
        *,
        purge_step: int | None = None,
        console: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(console=console)
        self._run = run_folder
        self._warned: set[str] = set()
        self._events: EventFile | None = None
        self._declared = False
        try:
            self._events = _open_events(run_folder, purge_step)
        except OSError as error:
            self._warn("TensorBoard events", error)

    def scalars(self, step: int, values: Scalars) -> None:
        """See `NullLogger`."""
        floats = _floats(values)
        try:
            self._run.append_metrics({"step": step, **floats})
        except OSError as error:
            self._warn("metrics", error)
        super().scalars(step, floats)

        def summaries() -> Iterator[Any]:
            from torch.utils.tensorboard.summary import scalar

            yield from (scalar(tag, value) for tag, value in floats.items())

        self._write(summaries, step)

    def histograms(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """See `NullLogger`."""

        def summaries() -> Iterator[Any]:
            from torch.utils.tensorboard.summary import histogram

            for tag, tensor in tensors.items():
                values = tensor.detach().float().cpu()
                values = values[values.isfinite()]
                if len(values):
                    yield histogram(tag, values.numpy(), _bins())

        self._write(summaries, step)

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """See `NullLogger`."""

        def summaries() -> Iterator[Any]:
            from torch.utils.tensorboard.summary import image

            for tag, pixels in images.items():
                # A sample of a Gaussian may leave [0, 1]; that must not end a run.
                yield image(tag, grid(pixels.detach().float().clamp(0, 1)), dataformats="CHW")

        self._write(summaries, step)

    def hparams(self, values: Mapping[str, Any], metrics: Iterable[str] = ()) -> None:
        """See `NullLogger`."""
        from torch.utils.tensorboard.summary import hparams

        # SummaryWriter.add_hparams would make a second run, in a folder of its own.
        experiment, start, _ = hparams(_flat(values), dict.fromkeys(metrics, 0.0))
        self._write(lambda: [experiment, start])
        self._declared = True

    def charts(self, layout: Mapping[str, Mapping[str, Iterable[str]]]) -> None:
        """See `NullLogger`."""
        from torch.utils.tensorboard.summary import custom_scalars

        multiline = {
            category: {title: ["Multiline", list(tags)] for title, tags in charts.items()}
            for category, charts in layout.items()
        }
        self._write(lambda: [custom_scalars(multiline)])

    def flush(self) -> None:
        """See `NullLogger`."""
        self._write(lambda: [])

    def close(self) -> None:
        """See `NullLogger`."""
        self._attempt(lambda events: events.close())
        self._events = None

    def __enter__(self) -> "Logger":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self._declared:
            self._write(lambda: [_success()])
        self.close()

    def _write(self, summaries: Callable[[], Iterable[Any]], step: int | None = None) -> None:
        def write(events: "EventFile") -> None:
            for summary in summaries():
                events.add(summary, step)
            events.flush()

        self._attempt(write)

    def _attempt(self, action: Callable[["EventFile"], None]) -> None:
        if self._events is None:
            return
        try:
            action(self._events)
        except OSError as error:
            # Half a record may be in the file, and TensorBoard reads nothing after it: no more of them.
            with suppress(OSError):
                self._events.close()
            self._events = None
            self._warn("TensorBoard events", error)

    def _warn(self, what: str, error: OSError) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(
                f"could not write {what} in {self._run.path}: got '{error.strerror or error}'; training "
                "continues without; free some space or mend the permissions",
                RuntimeWarning,
                stacklevel=3,
            )


def _open_events(run_folder: RunFolder, purge_step: int | None) -> "EventFile":
    # Here, not above: importing TensorBoard takes a while, and a run without a folder has no need of it.
    from zoo.training.event_file import EventFile

    return EventFile(run_folder.path, purge_step=purge_step)


def _success() -> Any:
    from torch.utils.tensorboard.summary import hparams

    return hparams({}, {})[2]


@cache
def _bins() -> list[float]:
    """The edges of TensorFlow's histograms: 0, and powers of 1.1 from 1e-12 to 1e20 of both signs."""
    edges = [1e-12 * 1.1**i for i in range(774)]
    return [*(-edge for edge in reversed(edges)), 0.0, *edges]


def _floats(values: Scalars) -> dict[str, float]:
    return {tag: float(value) for tag, value in values.items()}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    flat: dict[str, bool | int | float | str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if plain else str(value)
    return flat
