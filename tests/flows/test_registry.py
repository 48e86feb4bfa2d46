"""Whatever is public has a named case."""

import functools
import types

import flows
from flows import Flow, builders
from tests.flows.catalogue import CASES, MADE


def test_every_public_flow_is_named():
    public = [getattr(flows, name) for name in flows.__all__]
    classes = [kind for kind in public if isinstance(kind, type) and issubclass(kind, Flow)]
    modules = [module for flow in MADE.values() for module in flow.modules()]
    unnamed = [kind.__name__ for kind in classes if not any(isinstance(m, kind) for m in modules)]
    assert not unnamed, f"add cases to tests/flows/named for {unnamed}"


def test_every_builder_is_named():
    used = {thing for case in CASES.values() for thing in _globals_of(case.make)}
    unnamed = [name for name in builders.__all__ if getattr(builders, name) not in used]
    assert not unnamed, f"add cases to tests/flows/named for {unnamed}"


def _globals_of(function):
    """The functions and classes that it names."""
    if isinstance(function, functools.partial):
        return [function.func]
    found = [function.__globals__.get(name) for name in function.__code__.co_names]
    return [thing for thing in found if isinstance(thing, (types.FunctionType, type))]
