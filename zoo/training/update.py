"""What a step of training does: the gradient of the loss, and what becomes of it."""

import copy
from contextlib import ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError
from zoo.infer.compilation import compile_loss
from zoo.nn.channels_last import lay_channels_last
from zoo.training import parallel
from zoo.training.accumulation import backward
from zoo.training.average import ParameterAverage
from zoo.training.compiled_blocks import CompiledBlocks
from zoo.training.gradient_skip import GradientSkip
from zoo.training.optimizers import optimizer
from zoo.training.options import TrainingOptions
from zoo.training.precision import MixedPrecision
from zoo.training.state import finite_parameters

SMALLEST_NORM = 1e-7  # added to the norm that a tensor's gradient is divided by


class Update:
    """Gradient, optimiser and average of a loss, as a run's options have them.

    Attributes:
        loss: the loss module.
        run_loss: what computes it: itself, compiled, or synchronised between processes.
        parameters: those that are trained.
        average: their exponential moving average, or None.
        skip: which gradients are left out, or None.

    Raises:
        UsageError: if there is nothing to train, or options do not go together.
    """

    def __init__(self, loss: Any, options: TrainingOptions, device: torch.device) -> None:
        self.loss, self.options = loss, options
        self.parameters = [p for p in loss.parameters() if p.requires_grad]
        if not self.parameters:
            raise UsageError("nothing to train: model and guide must be nn.Modules with parameters")
        _require_compilable(options)
        if options.channels_last:
            lay_channels_last(loss)
        self.optimizer = optimizer(self.parameters, options)
        self.blocks = CompiledBlocks(loss) if options.compile == "blocks" else None
        blocks = self.blocks.blocks if self.blocks else ()
        self.precision = MixedPrecision(loss, device, blocks=blocks) if options.precision == "bf16" else None
        self.skip = GradientSkip(options.skip_above).to(device) if options.skip_above else None
        self.average = ParameterAverage(loss, options.ema) if options.ema else None
        self.run_loss: Any = parallel.synchronised(loss)

    def begin(self, x: Tensor, *, resumed: bool) -> str | None:
        """Compile what is to be, before the first step of this process, on a batch like those to come.

        Every step is a compiled one then, so that a run has the same bits wherever it was resumed. An eager
        call of the whole loss comes before: it initialises what the first batch initialises. What else it
        moves, running statistics say, must not be moved again where a run is resumed; blocks are tried out
        and leave nothing behind.

        Returns:
            What there is to say of it.
        """
        if not self.options.compile:
            return None
        before = copy.deepcopy(self.loss.state_dict())
        said = None
        with finite_parameters() if resumed else nullcontext():
            if self.blocks is None:
                self.run_loss = compile_loss(self.loss, x)
            else:
                with torch.random.fork_rng():
                    said = self.blocks.compile(lambda: self._try(x))
        if resumed or self.blocks is not None:
            self.loss.load_state_dict(before)
        return said

    def gradient(self, x: Tensor) -> dict[str, Tensor]:
        """The gradient on a batch; returns the loss, the gradient's norm, whether it is left out."""
        self.optimizer.zero_grad(set_to_none=True)
        with ExitStack() as held:
            for way in (self.precision, self.blocks):
                if way is not None:
                    held.enter_context(way.on())
            value = backward(self.run_loss, self.loss, x, parts=self.options.accumulate)
        norm = self._clipped()
        measured = {"loss": value, "gradient_norm": norm}
        if self.skip is not None:
            measured["skipped"] = ~self.skip.takes(norm)
        return measured

    def apply(self, measured: dict[str, Tensor]) -> None:
        """Move the parameters and their average, but where the gradient is left out.

        To know whether it is, a GPU is waited for; without ``skip_above`` no step waits.
        """
        if self.skip is None or not measured["skipped"]:
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.loss)

    def state_dict(self) -> dict[str, Any]:
        """All of it that changes."""
        return {
            "loss": self.loss.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "skip": None if self.skip is None else self.skip.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.loss.load_state_dict(state["loss"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.skip is not None and state.get("skip") is not None:
            self.skip.load_state_dict(state["skip"])

    def _try(self, x: Tensor) -> None:
        """A gradient of the loss that is thrown away."""
        with self.precision.on() if self.precision else nullcontext():
            float(backward(self.loss, self.loss, x, parts=self.options.accumulate))  # waits for a GPU
        self.optimizer.zero_grad(set_to_none=True)

    def _clipped(self) -> Tensor:
        """The norm of the gradient, which is at most `clip` afterwards; or 1 for each tensor."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.options.clip is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        else:
            norm = nn.utils.get_total_norm(gradients)
        if self.options.normalise:
            norms = torch._foreach_norm(gradients)
            torch._foreach_div_(gradients, torch._foreach_add(norms, SMALLEST_NORM))
        return norm


def _require_compilable(options: TrainingOptions) -> None:
    whole = options.compile is True
    if whole and parallel.world_size() > 1:
        raise UsageError("expected compile=false with several processes, or blocks; got true")
    if whole and options.precision != "float32":
        raise UsageError("expected compile=false with precision=bf16, or blocks; got true")
