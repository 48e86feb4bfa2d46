"""A short text that two tensors share only if they are equal: what a result was measured on."""

import hashlib

from torch import Tensor


def fingerprint(*parts: Tensor | int | None) -> str:
    """32 hexadecimal digits of BLAKE2b over types, shapes and values, in order; about 1 GB/s.

    It does not depend on the device, the machine or the versions of Python and PyTorch.

    >>> import torch
    >>> fingerprint(torch.zeros(2, 3)) == fingerprint(torch.zeros(3, 2))
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if not isinstance(part, Tensor):
            digest.update(f"{part};".encode())
            continue
        array = part.detach().cpu().contiguous().numpy()
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{array.dtype.str} {array.shape};".encode())
        digest.update(array.reshape(-1).data)  # no copy is made
    return digest.hexdigest()
