"""How fast a run is."""

import time


class Clock:
    """Steps a second since the last reading, and steps a second of this process's CPU time."""

    def __init__(self, step: int) -> None:
        self.step, self.times = step, _times()

    def rates(self, step: int) -> tuple[float, float]:
        """Both, at a step; the next are counted from here."""
        times = _times()
        passed = [max(now - before, 1e-9) for now, before in zip(times, self.times, strict=True)]
        wall, cpu = ((step - self.step) / seconds for seconds in passed)
        self.step, self.times = step, times
        return wall, cpu


def _times() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
