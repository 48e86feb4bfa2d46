"""The label y of an image as a variable of a model: one-hot vectors, (B, C)."""

from typing import Annotated, Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from zoo.conversion import Range
from zoo.nn.layers import out_shape_of, project

Classes = Annotated[int, Range(2)]


class UniformLabels(nn.Module):
    """p(y) = 1/C for every class.

    Args:
        classes: C, two at least.

    Raises:
        ValueError: with fewer classes.
    """

    logits: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"expected at least two classes; got {classes}")
        self.classes = classes
        self.register_buffer("logits", torch.zeros(classes), persistent=False)

    def forward(self) -> Any:
        """p(y), batch shape (), event shape (C,)."""
        return dist.OneHotCategorical(logits=self.logits)


class LabelHead(nn.Module):
    """q(y | b) = Categorical(softmax(project(net(b)))): a classifier.

    Args:
        net: network with an attribute ``out_shape``: b to features.
        classes: C.

    Shapes: b (B, ...) as `net` takes it; batch shape (B,), event shape (C,).
    """

    def __init__(self, net: Any, classes: int) -> None:
        super().__init__()
        self.net = net
        self.project = project(out_shape_of(net), (classes,))

    def forward(self, b: Tensor) -> Any:
        """q(y | b)."""
        return dist.OneHotCategorical(logits=self.project(self.net(b)))
