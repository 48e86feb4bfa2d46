"""The networks of a loss whose parameters are used only while they are called: FSDP may gather these.

A sharded parameter is whole only while the module that it was gathered for is called. A penalty on a
network's weights, or a method that is called by name, needs it at other times. That cannot be read off the
classes of modules, so it is observed in one call of the loss.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from zoo.ranks import gathered
from zoo.training.compiled_blocks import repeated

# Leaves of a block's output. A leaf of another type, a distribution for example, may hold tensors that the
# end of the block's call would free.
PLAIN = (Tensor, bool, int, float, str, type(None))


def separate_blocks(loss: nn.Module, x: Tensor) -> list[str]:
    """The names of the repeated networks (`repeated`) that are only called, in all processes.

    The loss is called once. What this first call initialises stays initialised; other buffers, such as
    running statistics, are restored.

    Args:
        loss: in training mode.
        x: images of its first step.
    """
    repeats = set(repeated(loss))
    blocks = {name: block for name, block in loss.named_modules() if block in repeats}
    with _statistics_kept(loss), _Uses(loss, blocks.values()) as uses:
        loss(x)
    mine = [name for name, block in blocks.items() if uses.are_calls_of(block)]
    everywhere = set.intersection(*(set(names) for names in gathered(lambda: mine)))
    return [name for name in mine if name in everywhere]


class _Uses(TorchFunctionMode):
    """Notes the blocks whose parameters are used outside calls of them.

    Args:
        module: the loss.
        blocks: its repeated networks, none inside another.
    """

    def __init__(self, module: nn.Module, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.blocks = list(blocks)
        self.owner = {id(p): block for block in self.blocks for p in block.parameters()}
        self.running: list[nn.Module] = []
        self.called: set[nn.Module] = set()
        self.unsuited = set(_sharing(module, self.blocks))

    def are_calls_of(self, block: nn.Module) -> bool:
        """Whether the block was called, and not used otherwise."""
        return block in self.called - self.unsuited

    def __enter__(self) -> "_Uses":
        self._hooks = [
            hook
            for block in self.blocks
            for hook in (
                block.register_forward_pre_hook(self._begin),
                block.register_forward_hook(self._end),
            )
        ]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call `func`, and note the blocks that it computes with; reading a shape does not count."""
        result = func(*args, **(kwargs or {}))
        if func is torch.autograd.grad:  # its own backward pass would gather and free the blocks
            self.unsuited.update(self.blocks)
        elif any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            used = (self.owner.get(id(leaf)) for leaf in tree_leaves((args, kwargs)))
            self.unsuited.update(block for block in used if block and block not in self.running)
        return result

    def _begin(self, block: nn.Module, inputs: Any) -> None:
        self.running.append(block)

    def _end(self, block: nn.Module, inputs: Any, output: Any) -> None:
        self.running.remove(block)
        self.called.add(block)
        if not all(isinstance(leaf, PLAIN) for leaf in tree_leaves(output)):
            self.unsuited.add(block)


def _sharing(module: nn.Module, blocks: list[nn.Module]) -> Iterator[nn.Module]:
    """The blocks that share parameters with modules outside them."""
    for block in blocks:
        inside = set(block.modules())
        others = {id(p) for part in module.modules() if part not in inside for p in part._parameters.values()}
        if any(id(p) in others for p in block.parameters()):
            yield block


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Restore the buffers of a module afterwards, except flags, which record that it was initialised."""
    kept = [
        (part._buffers, name, buffer, buffer.clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None and buffer.dtype is not torch.bool
    ]
    yield
    for buffers, name, buffer, value in kept:
        buffers[name] = buffer.copy_(value)
