"""What the laws are checked with."""

import math
from collections.abc import Callable
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.infer.joint import Joint


def seeded(function: Callable[..., Any], *args: Any, seed: int = 0, **options: Any) -> Any:
    """The function's value, with PyTorch's generator at that seed."""
    torch.manual_seed(seed)
    return function(*args, **options)


def loss_and_gradients(loss: Callable[..., Tensor], *args: Any, parameters: Any, seed: int = 0):
    """A loss at a seed and its gradient in every parameter."""
    value = seeded(loss, *args, seed=seed)
    return value.detach(), torch.autograd.grad(value, list(parameters), allow_unused=True)


def assert_all_close(actual: Any, expected: Any, *, atol: float = 1e-10, rtol: float = 1e-9) -> None:
    """Tensor by tensor; a gradient that is none is zero."""
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        a, b = _zero_if_none(a, b), _zero_if_none(b, a)
        torch.testing.assert_close(a, b, atol=atol, rtol=rtol)


def _zero_if_none(a: Tensor | None, like: Tensor | None) -> Tensor:
    if a is not None:
        return a
    return torch.zeros(()) if like is None else torch.zeros_like(like)


def operations(*modules: nn.Module) -> int:
    """Roundings on the way from input to output: the multiply-adds of one output of every layer."""
    weights = [p for module in modules for p in module.parameters() if p.dim() > 1]
    return sum(weight[0].numel() + 1 for weight in weights)


def assert_equal_up_to_rounding(actual: Any, expected: Any, *, operations: int, scale: float = 1.0) -> None:
    """Two orders of one calculation, tensor by tensor; a gradient that is none is zero.

    The same operation on the same shapes in the same process gives the same bits. Other rows of a batch,
    other batch sizes and other paths do not: kernels sum in another order, which depends on the processor.
    An operation has a relative error of eps / 2, and a sum of n terms, in any order, one of (n - 1) eps / 2
    times the sum of their magnitudes to the first order (Higham 2002, section 4.2). So two orders differ by
    n eps times that magnitude at most.

    Args:
        actual: tensors, or one.
        expected: as many.
        operations: n, on the longest way to one number.
        scale: magnitude of the numbers on that way, where it is larger than 1 and than the result.
    """
    actual, expected = _listed(actual), _listed(expected)
    eps = max(torch.finfo(tensor.dtype).eps for tensor in expected if tensor is not None)
    bound = operations * eps
    assert_all_close(actual, expected, atol=bound * max(scale, 1.0), rtol=bound)


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def standard_errors(samples: Tensor, expected: Any) -> Tensor:
    """How many standard errors the mean over the first dimension is from what is expected."""
    error = samples.std(0) / math.sqrt(len(samples))
    return (samples.mean(0) - expected) / error


class Calls:
    """Counts the calls of modules while it is entered."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.count = dict.fromkeys(modules, 0)
        self.rows = dict.fromkeys(modules, 0)

    def __enter__(self) -> "Calls":
        self.hooks = [m.register_forward_hook(self._counter(name)) for name, m in self.modules.items()]
        return self

    def __exit__(self, *_: Any) -> None:
        for hook in self.hooks:
            hook.remove()

    def _counter(self, name: str) -> Callable[..., None]:
        def count(module: nn.Module, args: Any, output: Any) -> None:
            self.count[name] += 1
            self.rows[name] = max(self.rows[name], len(args[0]) if args else 0)

        return count


class Synchronisations(TorchDispatchMode):
    """Counts the operations that wait for the GPU."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


class Tape(TorchDispatchMode):
    """What a CUDA graph does, on a CPU: the operations of its context, on the memory that they had.

    Replayed, they read their inputs where these lay, with the numbers that Python gave them, and write where
    they wrote. Noise is drawn anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """All operations again."""
        for func, args, kwargs, result in self.operations:
            again = func(*args, **kwargs)
            for kept, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                moved = isinstance(kept, Tensor) and kept.data_ptr() != value.data_ptr()
                if moved:  # neither a view nor in place
                    kept.copy_(value)


def taped(run: Callable[[], Any]) -> Callable[[], None]:
    """Replays what `run` did (`zoo.training.captured.cuda_graph`, without a GPU)."""
    run()
    with Tape() as tape:
        run()
    return tape.replay


class Leaves(Messenger):
    """Cuts the graph at every latent, so that a gradient in its value shows what sees it directly."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Tensor] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        if not msg["is_observed"]:
            value = msg["value"].detach().requires_grad_()
            msg["value"] = self.values.setdefault(msg["name"], value)


def dependencies(model: Any, guide: Any, x: Tensor) -> dict[str, set[str]]:
    """For "p(site)" and "q(site)", the variables that the distribution's parameters depend on directly."""
    x = x.clone().requires_grad_()
    leaves = Leaves()
    sites = Joint(model, guide, x).sample(noise=leaves)
    variables = {"x": x, **leaves.values}
    found = {}
    for name, site in sites.items():
        for letter, distribution in {"p": site.prior, "q": site.posterior}.items():
            if distribution is not None:
                found[f"{letter}({name})"] = _seen(distribution, variables)
    return found


def _seen(distribution: Any, variables: dict[str, Tensor]) -> set[str]:
    base = getattr(distribution, "base_dist", distribution)
    base = getattr(base, "_categorical", base)  # a one-hot distribution keeps its parameters there
    parameters = [getattr(base, name) for name in base.arg_constraints if name in base.__dict__]
    total = sum((p * torch.randn_like(p)).sum() for p in parameters)
    if not total.requires_grad:
        return set()
    gradients = torch.autograd.grad(total, list(variables.values()), allow_unused=True, retain_graph=True)
    pairs = zip(variables, gradients, strict=True)
    return {name for name, g in pairs if g is not None and (g != 0).any()}
