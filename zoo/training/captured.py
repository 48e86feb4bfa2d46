"""A step's gradient as one CUDA graph, whose kernels are launched together.

A small network leaves a GPU waiting: the CPU takes longer to launch its kernels than the GPU to run them. A
captured gradient is launched once. The memory that it reads and writes is fixed, so images are copied in, and
coefficients that change are buffers. Noise is drawn anew: a graph reads the seed of its generator when it is
launched. The optimiser, a handful of launches for all parameters, and the average follow outside the graph.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import UsageError, one_line

WARMUP = 3  # gradients before a capture, which allocate what is allocated once

Capture = Callable[[Callable[[], Any]], Callable[[], None]]


def cuda_graph(run: Callable[[], Any]) -> Callable[[], None]:
    """Capture what `run` launches; what is returned launches it again.

    Args:
        run: what to capture, called some times before; it may not wait for the GPU.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARMUP):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


class CapturedGradient:
    """A function that leaves the gradients of a batch in the parameters, captured and then launched as one.

    It runs as it is until two batches of one shape have followed each other: the first step initialises what
    the first batch initialises, with all checks of values. It also does so for a batch of another shape, such
    as the last of an epoch. So a run has the bits of one that is not captured, wherever it was resumed.

    Args:
        gradient: called with images (B, C, H, W), returns figures on their device.
        loss: whose gradients those are, and whose ``stats``, if it has any, are the figures of its terms.
        others: modules with buffers that `gradient` changes as well.
        capture: as `cuda_graph`.
    """

    def __init__(
        self,
        gradient: Callable[[Tensor], dict[str, Tensor]],
        loss: Any,
        others: Iterable[nn.Module] = (),
        *,
        capture: Capture = cuda_graph,
    ) -> None:
        self.gradient, self.loss, self.capture = gradient, loss, capture
        self._changed: list[nn.Module] = [loss, *others]
        self._shape: torch.Size | None = None
        self._replay: Callable[[], None] | None = None

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """The figures of the images x, and their gradients in the parameters, until the next call.

        Raises:
            UsageError: if the gradient cannot be captured.
        """
        repeated, self._shape = x.shape == self._shape, x.shape
        if self._replay is None and repeated:
            self._replay = self._captured(x)
        if self._replay is None or x.shape != self._x.shape:
            return self.gradient(x)
        self._x.copy_(x)
        self._replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        if self._stats is not None:
            self.loss.stats = dict(self._stats)  # the evaluation of other images may have left its own
        return dict(self._measured)

    def _captured(self, x: Tensor) -> Callable[[], None]:
        """Capture the gradient of images like x; the warm-up leaves neither buffers nor noise changed."""
        self._x = x.clone()
        kept = [(buffer, buffer.clone()) for module in self._changed for buffer in module.buffers()]
        devices = [x.device] if x.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            try:
                replay = self.capture(self._run)
            except RuntimeError as error:
                reason = one_line(str(error).partition("\n")[0])
                raise UsageError(
                    f"this loss cannot be captured in a CUDA graph ({reason}): train with cuda_graph=false"
                ) from error
        for buffer, before in kept:
            buffer.copy_(before)
        self._gradients = [(p, p.grad) for p in self.loss.parameters()]
        self._stats: Any = getattr(self.loss, "stats", None)
        return replay

    def _run(self) -> None:
        self._measured = self.gradient(self._x)
