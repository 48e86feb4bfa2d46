"""`Program`, the base class of models and guides: a Pyro program made of plain `nn.Module`s.

The parameters are plain too: a ``PyroModule`` would send one message a parameter a pass (about 30 us each).
Only Pyro's classic ``SVI`` finds its parameters by these messages, so they are sent only under it.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyro
from pyro.poutine.indep_messenger import IndepMessenger
from pyro.poutine.messenger import unwrap
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.trace_messenger import TraceMessenger
from torch import Tensor, nn

from zoo.errors import UsageError

# Pyro's plates over the samples of Predictive(parallel=True) and of ELBOs with vectorize_particles=True.
VECTORISED = ("_num_predictive_samples", "num_particles_vectorized")


class Program(nn.Module):
    """A Pyro program; ``forward`` holds its sample statements."""

    likelihood: Any

    @property
    def takes(self) -> str:
        """The encoding of the images that a model observes: its likelihood's."""
        takes: str = self.likelihood.takes
        return takes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program; under Pyro's classic ``SVI``, send its parameters first.

        Raises:
            UsageError: inside another plate, or if Pyro vectorises its samples: every site would get a second
                batch dimension.
        """
        _require_one_batch_dimension()
        if _svi_collects_parameters():
            _send_parameters(self)
        return super().__call__(*args, **kwargs)


def batch_plate() -> IndepMessenger:
    """The one batch dimension, independent images: ``pyro.plate("batch", dim=-1)``.

    The plate has no size: no subsample site, no rescaling, any batch, and importance samples fold into it.
    It does not expand what is drawn inside it, so priors are expanded by the model. Pyro's own
    sizeless plate behaves so too, but ``torch.compile`` sees through it only from PyTorch 2.12 or later on.
    """
    return IndepMessenger("batch", size=-1, dim=-1)


def latent(name: str, distribution: Any, h: Any = None, *, layer: int | None = None) -> Tensor:
    """Sample the latent variable `name`, in a model from its prior, in a guide from its posterior.

    Args:
        name: of the site.
        distribution: of the variable.
        h: features that the model has so far, for the guide to see.
        layer: of a hierarchy, 1 the nearest to the image; None for a variable of no layer, such as a label.
            The bounds L^{>k}, resampling and temperatures by layer use it.
    """
    return pyro.sample(name, distribution, infer={"h": h, "layer": layer})


def layer_at(message: Mapping[str, Any]) -> int | None:
    """The layer of the latent variable of a Pyro message, where it has one."""
    return message["infer"].get("layer")


def batch_size(x: Tensor | None, n: int | None) -> int:
    """The number of images of a model run: of those observed, or the `n` that are to be sampled.

    Raises:
        UsageError: if neither is given, or n is smaller than 1.
    """
    if x is not None:
        return len(x)
    if n is None:
        raise UsageError("a model needs x, images (B, C, H, W), or n, how many to sample; got neither")
    if n < 1:
        raise UsageError(f"expected n >= 1, images to sample; got {n}")
    return n


@contextmanager
def evaluating(*programs: Any) -> Iterator[None]:
    """Evaluation mode for those programs that are modules, and the mode each was in again afterwards.

    Also for a module inside Pyro's handlers, ``pyro.condition(model, data)``.
    """
    modules = [m for p in map(unwrap, programs) if isinstance(p, nn.Module) for m in p.modules()]
    training = [m for m in modules if m.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _require_one_batch_dimension() -> None:
    for handler in _PYRO_STACK:
        if not isinstance(handler, IndepMessenger):
            continue
        if handler.name in VECTORISED:
            raise UsageError(
                "expected one batch dimension, the images'; got another, of Pyro's vectorised samples: take "
                "parallel=False or vectorize_particles=False, or the zoo's own objectives, which fold "
                "samples into the batch"
            )
        if handler.dim is not None and handler.dim < -1:
            raise UsageError(
                f"expected one batch dimension, the images'; got another, of the plate {handler.name!r} "
                "around the program: fold that into the batch"
            )


def _svi_collects_parameters() -> bool:
    return any(isinstance(m, TraceMessenger) and m.param_only for m in _PYRO_STACK)


def _send_parameters(program: nn.Module) -> None:
    """One ``param`` message a parameter, under a name that no other tensor in Pyro's store has.

    Pyro answers a name that is taken with the tensor that took it: a second model of the same class
    would silently not train.
    """
    store = pyro.get_param_store()
    for path, parameter in program.named_parameters():
        name = f"{type(program).__name__}.{path}"
        while name in store and store[name] is not parameter:
            name += "'"
        if parameter.requires_grad:
            pyro.param(name, parameter)


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """`function` of every tensor in a tree of tuples, lists, dictionaries and dataclasses."""
    if isinstance(tree, Tensor):
        return function(tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {f.name: map_tensors(function, getattr(tree, f.name)) for f in dataclasses.fields(tree)}
        return dataclasses.replace(tree, **fields)
    if isinstance(tree, dict):
        return {key: map_tensors(function, branch) for key, branch in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(function, branch) for branch in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_tensors(function, branch) for branch in tree)
    return tree
