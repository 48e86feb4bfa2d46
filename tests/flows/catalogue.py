"""Every flow by name, small; a new one joins the laws by a line in `tests/flows/named`."""

import importlib
import pkgutil
from pathlib import Path

from tests.flows.named.case import Case

CASES: dict[str, Case] = {}
for _module in pkgutil.iter_modules([str(Path(__file__).parent / "named")]):
    CASES |= getattr(importlib.import_module(f"tests.flows.named.{_module.name}"), "CASES", {})
