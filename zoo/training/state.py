"""What makes a run that goes on the run that was not stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.errors import CheckpointError
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
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the checkpoint was made for another model or recipe: {detail}; build it as config.json says"
        ) from error


def seed_noise(device: torch.device, *parts: int | str) -> None:
    """Start the global random generators, of the CPU and of `device`, from `parts`.

    Every step does, and every validation: there is no generator's state to be kept, nor is there one for
    each process.
    """
    seed = mixed_seed("training", *parts)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed looks at every other device as well
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
