"""Settings of a process with which training on a CPU is faster; the command line makes them where it starts.

Denormal floats, |x| < 2^-126, take a processor a hundred times as long as others, and importance weights make
many of them: exp(-90) is one. glibc gives the memory of every large tensor back to the system when it is
freed, which clears it anew for the next. And in GNU's OpenMP, PyTorch's, a thread that waits for others keeps
its core busy for a millisecond: where cores are scarce, the others get none.
"""

import ctypes
import os
import sys

OPTION = "ZOO_TUNE_PROCESS"  # the environment variable: 0 leaves the process as it is
# glibc's malloc.h, and what each means: no allocation by mmap, and the heap is never given back.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": (M_MMAP_MAX, 0),
    "MALLOC_TRIM_THRESHOLD_": (M_TRIM_THRESHOLD, -1),
}
SPINS, POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"  # turns that a waiting thread takes before it sleeps
FEW_SPINS = "20000"  # some 0.1 ms, longer than PyTorch's threads wait for one another on cores of their own


def tune_process() -> None:
    """Flush denormal floats to zero, keep freed memory (glibc), let waiting threads sleep (GNU OpenMP).

    To be called where a program starts: the first holds for this thread and for those it starts later,
    PyTorch's own among them, the last only if PyTorch has not been imported. Results differ from those
    without it in numbers below 1.2e-38. What the environment sets, ``MALLOC_MMAP_MAX_``,
    ``MALLOC_TRIM_THRESHOLD_``, ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY``, is left as it is.
    """
    keep_freed_memory()  # before PyTorch allocates
    sleep_soon()  # before PyTorch loads OpenMP
    import torch

    torch.set_flush_denormal(True)  # False, and nothing set, where the processor cannot


def keep_freed_memory() -> None:
    """Let glibc's allocator reuse freed memory; nothing with another C library."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return
    for variable, (parameter, value) in ALLOCATOR.items():
        if variable not in os.environ:
            libc.mallopt(parameter, value)


def sleep_soon() -> None:
    """Let a thread that waits for others sleep after some 0.1 ms, unless the environment says otherwise."""
    if POLICY not in os.environ:
        os.environ.setdefault(SPINS, FEW_SPINS)


def is_wanted() -> bool:
    """Whether the environment leaves tuning on, as it is by default."""
    return os.environ.get(OPTION, "1") != "0"
