"""Transforms whose primitive is a value and its log det in one pass, as PyTorch's distributions call them."""

from torch import Tensor
from torch.distributions import Transform


class OnePassTransform(Transform):
    r"""Base of transforms written as two methods; the rest of PyTorch's protocol is derived from them.

    Derived classes have ``call_and_log_det(x)``, which returns y and log \|det dy/dx\|, and
    ``inverse_and_log_det(y)``, which returns x and log \|det dx/dy\|, each in one pass.

    No value is remembered from one call to the next, so none can be stale: a transform sees no update of
    ``tensor.data``, of a fused optimiser or of a submodule's mode. `distributions.TransformedDistribution`
    asks for value and log det at once; PyTorch's own asks in two calls and pays for two passes.
    """

    bijective = True

    def call_and_log_det(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Y and log |det dy/dx|."""
        raise NotImplementedError

    def inverse_and_log_det(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """X and log |det dx/dy|."""
        raise NotImplementedError

    def with_cache(self, cache_size: int = 1) -> "OnePassTransform":
        """The transform itself, which remembers nothing."""
        return self

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_log_det(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.inverse_and_log_det(y)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Log |det dy/dx|, (*batch)."""
        return self.call_and_log_det(x)[1]
