"""Settings of a process with which training on a CPU is faster; the command line makes them where it starts.

Denormal floats, |x| < 2^-126, take a processor a hundred times as long as others, and importance weights make
many of them: exp(-90) is one. And glibc gives the memory of every large tensor back to the system when it is
freed, which clears it anew for the next.
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


def tune_process() -> None:
    """Flush denormal floats to zero, and keep freed memory in the process (Linux with glibc only).

    To be called where a program starts: the first holds for this thread and for those it starts later,
    PyTorch's own among them. Results differ from those without it in numbers below 1.2e-38. What the
    environment sets of the allocator, ``MALLOC_MMAP_MAX_`` or ``MALLOC_TRIM_THRESHOLD_``, is left as it is.
    """
    keep_freed_memory()  # before PyTorch allocates
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


def is_wanted() -> bool:
    """Whether the environment leaves tuning on, as it is by default."""
    return os.environ.get(OPTION, "1") != "0"
