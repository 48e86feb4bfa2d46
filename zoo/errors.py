"""What can go wrong on the user's side, and the exit code of the command line for each.

A message is one line: what was expected, what came, the likely cure. Where Python has a type for the
mistake (``ValueError``, ``RuntimeError``) ours derives from it as well, so both can be caught.
"""


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
