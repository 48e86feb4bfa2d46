"""What a resumed run needs to be, bit for bit, the run that was not stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.errors import CheckpointError, NonFiniteError, one_line
from zoo.seeds import mixed_seed


@contextmanager
def matching_checkpoint() -> Iterator[None]:
    """Turn what PyTorch says of a state that does not fit into one line.

    Raises:
        CheckpointError: in place of that.
    """
    try:
        yield
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint was made for another model or recipe: {one_line(error)[:200]}; build it as "
            "config.json says"
        ) from error


@contextmanager
def finite_parameters() -> Iterator[None]:
    """Turn what PyTorch says of distributions of diverged parameters (200 lines at times) into one line.

    Raises:
        NonFiniteError: in place of that.
    """
    try:
        yield
    except ValueError as error:
        if "but found invalid values" in str(error):  # of a parameter, or of a value outside the support
            raise NonFiniteError(
                "the parameters lead to values that are not finite: the run has diverged; train with a "
                "smaller learning_rate, or clip=1"
            ) from error
        raise


def seed_noise(device: torch.device, *parts: int | str) -> None:
    """Start the global random generators, of the CPU and of `device`, from `parts`.

    Every step does, and every validation: no generator's state has to be saved, and there is none for each
    process.
    """
    seed = mixed_seed("training", *parts)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed looks at every other device as well
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
