"""What a step of training does: the gradient of the loss, and what becomes of it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from zoo.conversion import as_text
from zoo.errors import UsageError
from zoo.infer.aggressive import AggressiveLoss
from zoo.infer.compilation import compile_loss
from zoo.nn.channels_last import lay_channels_last
from zoo.training import parallel
from zoo.training.accumulation import backward
from zoo.training.average import ParameterAverage
from zoo.training.captured import CapturedGradient
from zoo.training.compiled_blocks import CompiledBlocks
from zoo.training.gradient_skip import GradientSkip
from zoo.training.optimizers import optimizer
from zoo.training.options import TrainingOptions
from zoo.training.precision import MixedPrecision
from zoo.training.separate_blocks import separate_blocks
from zoo.training.state import finite_parameters

SMALLEST_NORM = 1e-7  # added to the norm that a tensor's gradient is divided by


class Update:
    """The gradient, the optimiser and the parameter average of a loss, by the options of a run.

    Args:
        loss: the loss module.
        options: of the run.
        device: where it is.
        first: returns the images of the first step; called only where parameters are sharded.

    Attributes:
        loss: the loss module; its parameters are this process's shards, where they are sharded.
        gradient: sets the gradients of a batch; returns the loss, their norm, whether they are left out.
        running: the module that is called in training: the loss, or its copy that gathers the shards.
        run_loss: computes the loss: `running`, compiled or synchronised between processes.
        parameters: those that are trained.
        average: their exponential moving average, or None.
        skip: which gradients are left out, or None.
        shards: the shards of the parameters that this process holds, or None where it has them whole.

    Raises:
        UsageError: if there is nothing to train, or options do not go together.
    """

    def __init__(
        self, loss: Any, options: TrainingOptions, device: torch.device, first: Callable[[], Tensor]
    ) -> None:
        self.loss, self.options = loss, options
        self.parameters = [p for p in loss.parameters() if p.requires_grad]
        if not self.parameters:
            raise UsageError("nothing to train: model and guide must be nn.Modules with parameters")
        _require_compatible(loss, options, device)
        if options.channels_last:
            lay_channels_last(loss)
        self.shards = _shards(loss, first) if _is_sharded(options) else None
        self.running = loss if self.shards is None else self.shards.running
        self.blocks = CompiledBlocks(loss) if options.compile == "blocks" else None
        blocks = self.blocks.blocks if self.blocks else ()
        bf16 = options.precision == "bf16"
        self.precision = MixedPrecision(self.running, device, blocks=blocks) if bf16 else None
        if self.shards is not None:  # last, since it changes the classes of modules, which others look at
            self.shards.shard(device)
        self.optimizer = optimizer(self.parameters, options)
        self.skip = GradientSkip(options.skip_above).to(device) if options.skip_above else None
        self.average = ParameterAverage(loss, options.ema) if options.ema else None
        self.run_loss: Any = parallel.synchronised(loss) if self.shards is None else self.running
        self.gradient: Callable[[Tensor], dict[str, Tensor]] = self._gradient
        if options.cuda_graph:
            self.gradient = CapturedGradient(self._gradient, loss, [self.skip] if self.skip else [])

    @property
    def evaluated(self) -> Any:
        """The loss to evaluate with: the average where there is one."""
        return self.loss if self.average is None else self.average.module

    @contextmanager
    def whole(self, module: nn.Module) -> Iterator[None]:
        """Within this context the loss, or its average, is whole and alike in all processes; all enter it."""
        with nullcontext() if self.shards is None else self.shards.whole(module):
            parallel.copy_first_buffers(module)
            yield

    def complete(self) -> None:
        """Gather the loss and its average for good, after the last step; all processes call it."""
        if self.shards is not None:
            for module in dict.fromkeys((self.loss, self.evaluated)):  # in this order in all processes
                self.shards.complete(module)

    def begin(self, x: Tensor, *, resumed: bool) -> str | None:
        """Compile what is to be, before the first step of this process, on a batch like those to come.

        Every step is then a compiled one, so that a run has the same bits wherever it was resumed. The whole
        loss is called eagerly first, which initialises what the first batch initialises. What that call also
        updates, such as running statistics, must not be updated again where a run is resumed; trying out
        blocks changes nothing.

        Returns:
            A line about what was compiled, to be shown; None if there is none.
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

    def _gradient(self, x: Tensor) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        with ExitStack() as held:
            for way in (self.precision, self.blocks):
                if way is not None:
                    held.enter_context(way.on())
            value = backward(self.run_loss, self.running, x, parts=self.options.accumulate)
        if self.shards is not None:
            self.shards.collect(self.parameters)
        norm = self._clipped()
        measured = {"loss": value, "gradient_norm": norm}
        if self.skip is not None:
            measured["skipped"] = ~self.skip.takes(norm)
        return measured

    def apply(self, measured: dict[str, Tensor]) -> None:
        """Update the parameters and their average, unless the gradient is left out.

        Reading whether it is waits for a GPU; without ``skip_above`` no step waits.
        """
        if self.skip is None or not measured["skipped"]:
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.loss)

    def state_dict(self) -> dict[str, Any]:
        """All that changes. Where parameters are sharded all processes call this; the first has it whole."""
        state = {
            "loss": self.loss.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "skip": None if self.skip is None else self.skip.state_dict(),
        }
        return state if self.shards is None else self.shards.full_state(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        if self.shards is not None:
            state = self.shards.sharded_state(state)
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
        learning = [p for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(self._norms(learning))
        if self.options.clip is not None:
            nn.utils.clip_grads_with_norm_(learning, self.options.clip, norm)
        if self.options.normalise:
            norms = self._norms(learning) + SMALLEST_NORM
            torch._foreach_div_([p.grad for p in learning], list(norms.unbind()))
        return norm

    @torch.no_grad()
    def _norms(self, parameters: list[nn.Parameter]) -> Tensor:
        """The norm of each parameter's gradient, (n,)."""
        gradients: Any = [p.grad for p in parameters]
        norms = torch.stack(torch._foreach_norm(gradients))
        return norms if self.shards is None else self.shards.norms(parameters, norms)


def _is_sharded(options: TrainingOptions) -> bool:
    return options.parallel == "fsdp" and parallel.world_size() > 1


def _shards(loss: Any, first: Callable[[], Tensor]) -> Any:
    from zoo.training.sharding import Shards  # takes seconds

    blocks = separate_blocks(loss, first())
    parallel.copy_first(loss)
    return Shards(loss, blocks)


def _require_compatible(loss: Any, options: TrainingOptions, device: torch.device) -> None:
    """Check that options go together, with the device and with the number of processes.

    Raises:
        UsageError: if they do not.
    """
    whole = options.compile is True
    if whole and parallel.world_size() > 1:
        raise UsageError("expected compile=false with several processes, or blocks; got true")
    if whole and options.precision != "float32":
        raise UsageError("expected compile=false with precision=bf16, or blocks; got true")
    if isinstance(loss, AggressiveLoss) and parallel.world_size() > 1:
        raise UsageError("expected one process, for an objective that trains one half at a time; got several")
    if options.cuda_graph:
        _require_capturable(loss, device)
    for name in ("compile", "channels_last"):
        if _is_sharded(options) and getattr(options, name):
            raise UsageError(
                f"expected {name}=false with parallel=fsdp; got {as_text(getattr(options, name))}"
            )


def _require_capturable(loss: Any, device: torch.device) -> None:
    """Check that the gradient of a loss may be captured in a CUDA graph.

    Raises:
        UsageError: if not.
    """
    if device.type != "cuda":
        raise UsageError(f"expected device=cuda with cuda_graph=true; got {device.type}")
    if parallel.world_size() > 1:
        raise UsageError("expected cuda_graph=false with several processes; got true")
    if isinstance(loss, AggressiveLoss):
        raise UsageError("expected cuda_graph=false, for an objective that reads its loss; got true")
