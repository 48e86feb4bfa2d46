"""Data sets of images, their encodings, and batches that a resumed run sees again bit for bit.

The public names are the imports of ``__init__.pyi``; `DATASETS` is listed without importing PyTorch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
