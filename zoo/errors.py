"""What can go wrong on the user's side, and the exit code of the command line for each.

A message is one line: what was expected, what came, the likely cure. Where Python has a type for the
mistake (``ValueError``, ``RuntimeError``) ours derives from it as well, so both can be caught.
"""

import difflib
from collections.abc import Callable, Iterable


class ZooError(Exception):
    """A mistake or a mishap that the user can mend; `exit_code` is what ``zoo`` exits with."""

    exit_code = 1


class UsageError(ZooError, ValueError):
    """An unknown name, a value out of range, a run folder that is in the way or is not there."""

    exit_code = 2


class DataError(ZooError, ValueError):
    """Data that are missing, unreadable, or of a wrong shape, type or range."""

    exit_code = 3


class CheckpointError(ZooError, RuntimeError):
    """A checkpoint that is missing, damaged, or made for another model."""

    exit_code = 4


class NonFiniteError(ZooError, ArithmeticError):
    """A loss or a gradient that is not finite."""

    exit_code = 5


class Interrupted(KeyboardInterrupt):
    """A run that a signal ended after a whole step, with a checkpoint; it can be resumed.

    A `KeyboardInterrupt`, so that a script that knows nothing of it ends as it should.
    """

    exit_code = 75  # sysexits' EX_TEMPFAIL: try again


def did_you_mean(name: str, known: Iterable[str], *, shown: Callable[[str], object] = str) -> str:
    """The cure for a mistyped name: up to three known names spelt like it, empty if there are none.

    Case, hyphens, underscores and spaces count for nothing. `shown` makes of a name what is offered.

    >>> did_you_mean("Fasion-MNIST", ["cifar10", "fashion_mnist", "svhn"])
    'did you mean fashion_mnist?'
    """
    spelt = {bare(each): each for each in sorted(known)}
    near = difflib.get_close_matches(bare(name), spelt)
    return f"did you mean {' or '.join(str(shown(spelt[match])) for match in near)}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the names like `name`, or all there are."""
    known = sorted(known)
    return f"; {did_you_mean(name, known) or 'known are ' + ', '.join(known)}"


def bare(name: str) -> str:
    """A name in lower case, without hyphens, underscores and spaces."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def one_line(error: object) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
