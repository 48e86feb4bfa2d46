"""Mixed precision: networks in bfloat16, densities in float32 (Micikevicius et al. 2017, arXiv:1710.03740).

Autocast is on inside networks: the outermost modules of `zoo.nn` that have parts, and `nn.Sequential`. What a
network returns is float32 again. So single layers that make the parameters of a distribution, the
distributions themselves, flows, log-sum-exps, KL terms and the loss are in float32, as are all parameters,
their gradients and the optimiser. The output of a network keeps the 8 bits of bfloat16.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Precision = Literal["float32", "bf16"]


class MixedPrecision:
    """Hooks on the networks of a module, with which they run in bfloat16 while it is `on`.

    Copies of the module have hooks of their own, which are off.

    Args:
        module: whose networks they are.
        device: where it runs.
        blocks: networks of it that are one to whoever calls them, compiled ones: there are no hooks inside.
    """

    def __init__(self, module: nn.Module, device: torch.device, *, blocks: Iterable[nn.Module] = ()) -> None:
        self.device_type = device.type
        self.active = False
        self.depth = 0
        self.autocast: Any = None
        inside = {part for block in blocks for part in block.modules() if part is not block}
        for part in module.modules():
            if is_network(part) and part not in inside:
                part.register_forward_pre_hook(self._enter)
                part.register_forward_hook(self._leave, always_call=True)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Networks in bfloat16 inside this."""
        self.active = True
        try:
            yield
        finally:
            self.active = False

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        if not self.active:
            return
        if self.depth == 0:
            self.autocast = torch.autocast(self.device_type, dtype=torch.bfloat16)
            self.autocast.__enter__()
        self.depth += 1

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.depth == 0:
            return None
        self.depth -= 1
        if self.depth:
            return None
        self.autocast.__exit__(None, None, None)
        return tree_map(_single, output)

    def __deepcopy__(self, memo: dict[int, Any]) -> "MixedPrecision":
        copied = memo[id(self)] = object.__new__(MixedPrecision)
        copied.__dict__.update(device_type=self.device_type, active=False, depth=0, autocast=None)
        return copied


def is_network(module: nn.Module) -> bool:
    """Whether a module is a network: of several layers, and of `zoo.nn` or a sequence."""
    ours = type(module).__module__.startswith("zoo.nn.") or isinstance(module, nn.Sequential)
    return ours and any(True for _ in module.children())


def _single(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype is torch.bfloat16 else value
