"""Data sets of images, their encodings, and batches that a resumed run sees again bit for bit.

Names are imported when they are first asked for, so that `DATASETS` can be listed without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.batches import Batches
    from zoo.data.encodings import Binary, Encoding, Grid, Unit
    from zoo.data.image_data import ImageData
    from zoo.data.loading import load_data
    from zoo.data.names import DATASETS

_HOMES = {
    "DATASETS": "names",
    "Batches": "batches",
    "Binary": "encodings",
    "Encoding": "encodings",
    "Grid": "encodings",
    "ImageData": "image_data",
    "Unit": "encodings",
    "load_data": "loading",
}

__all__ = [
    "DATASETS",
    "Batches",
    "Binary",
    "Encoding",
    "Grid",
    "ImageData",
    "Unit",
    "load_data",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
