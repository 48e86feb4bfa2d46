"""Every flow by name, small; a new one joins the laws by a line in `tests/flows/named`."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from tests.flows.named.case import Case, original

CASES: dict[str, Case] = {}
for _module in pkgutil.iter_modules([str(Path(__file__).parent / "named")]):
    CASES |= getattr(importlib.import_module(f"tests.flows.named.{_module.name}"), "CASES", {})

MADE = {name: case.make() for name, case in CASES.items()}
CONDITIONAL = [name for name, flow in MADE.items() if flow.context_shape]
PLANE = [name for name, flow in MADE.items() if flow.in_shape == flow.event_shape == (2,)]


def one_a_class(names: dict[str, Case]) -> list[str]:
    """The first of each class of flow, of vectors and of images, without and with a context."""
    kinds = {_kind(name): name for name in reversed(names)}
    return sorted(kinds.values(), key=list(names).index)


def _kind(name: str) -> tuple[object, ...]:
    flow = MADE[name]
    turned = original(flow) is not flow
    return type(original(flow)), turned, len(flow.event_shape), flow.context_shape is None


every_flow = pytest.mark.parametrize("name", CASES)
conditional_flows = pytest.mark.parametrize("name", CONDITIONAL)
flows_of_the_plane = pytest.mark.parametrize("name", PLANE)
flows_of_each_class = pytest.mark.parametrize("name", one_a_class(CASES))
BATCHES: list[tuple[int, ...]] = [(), (3,), (2, 3)]
