"""The processes that train together, one a device, as `torch.distributed` numbers them."""

from torch import Tensor, distributed


def rank() -> int:
    """This process's number, 0 where there is one process."""
    return distributed.get_rank() if _initialised() else 0


def world_size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _initialised() else 1


def of_first(tensor: Tensor) -> Tensor:
    """The tensor of rank 0, in every process; all call it, with tensors of one shape."""
    if world_size() > 1:
        distributed.broadcast(tensor, src=0)
    return tensor


def _initialised() -> bool:
    return distributed.is_available() and distributed.is_initialized()
