"""The parts of a checkpoint that are not PyTorch's own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.errors import CheckpointError


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


def generator_states(device: torch.device) -> dict[str, Tensor]:
    """Where the global random generators are, of the CPU and of `device`."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generator_states(states: dict[str, Tensor], device: torch.device) -> None:
    """Put the global random generators where they were."""
    torch.set_rng_state(states["cpu"].cpu())
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].cpu(), device)
