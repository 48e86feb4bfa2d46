"""The plates of a program: which dimension is the batch, and how log probabilities become one term an image.

A program declares its independent dimensions by plates. The batch is the plate that holds every site of the
model; the other plates of a site (for example the pixels) lie within an image, and its term is summed over
them.

A plate of a data set from which a minibatch is taken, ``pyro.plate("data", 60_000, subsample=x)``, scales the
log probabilities by 60,000 / len(x), so that their sum estimates that of the data set. One image's bound or
importance weight is no such sum: that factor is left out. `poutine.scale` and `poutine.mask` act as they are.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pyro.distributions.util import scale_and_mask
from pyro.poutine.indep_messenger import CondIndepStackFrame
from torch import Tensor

Plates = tuple[CondIndepStackFrame, ...]
SIZELESS = -1  # the size of a plate that has none


class PerImage(NamedTuple):
    """How the log probabilities of one sample statement become one term an image.

    Attributes:
        name: of the site.
        dim: of the batch, counted from the right, -1 the last.
        rows: N, the size of the batch.
        plates: of the site.
        scale, mask: of Pyro's handlers.
    """

    name: str
    dim: int
    rows: int
    plates: Plates
    scale: Any
    mask: Any

    def __call__(self, log_prob: Tensor) -> Tensor:
        """Log probabilities of the site's batch shape, scaled, masked and summed over each image: (N,).

        Raises:
            ValueError: if the batch has not N rows, or another dimension is not declared by a plate.
        """
        declared = {plate.dim for plate in self.plates}
        shape = log_prob.shape
        sizes = {dim - len(shape): size for dim, size in enumerate(shape)}
        if sizes.get(self.dim) != self.rows or any(
            size != 1 and dim not in declared for dim, size in sizes.items()
        ):
            raise ValueError(
                f"expected one term an image at site {self.name!r}, shape ({self.rows},), or one for every "
                f"element of its plates {_described(self.plates)}; got {tuple(shape)}: every site needs the "
                "batch (expand the prior; no global latents), and .to_event for what lies within an image"
            )
        term = self._weighted(log_prob)
        within = [dim for dim in sizes if dim != self.dim]
        return term.sum(within) if within else term

    def _weighted(self, log_prob: Tensor) -> Tensor:
        if self.mask is None and isinstance(self.scale, float) and self.scale == 1.0:
            return log_prob
        return scale_and_mask(log_prob, self.scale, self.mask)


def per_image(message: Mapping[str, Any], dim: int, rows: int, images: int) -> PerImage:
    """The terms of the sample statement of a Pyro message, in a run over `rows` copies of `images` images.

    A scale or a mask with one row an image serves all copies of it.

    Raises:
        ValueError: if the site is not in a plate at the batch's dimension, or a plate within an image
            subsamples: a density of some of an image's elements is none of the image.
    """
    name, plates = message["name"], message["cond_indep_stack"]
    if all(plate.dim != dim for plate in plates):
        raise ValueError(
            f"expected {name!r} in a plate over the {rows} images, dim={dim}; got {_described(plates)}: draw "
            "it within zoo.batch_plate()"
        )
    scale = message["scale"]
    for plate in filter(_subsamples, plates):
        if plate.dim != dim:
            raise ValueError(
                f"expected only the plate of the images to subsample; got {_described([plate])} at {name!r}"
            )
        scale = scale / (plate.full_size / plate.size)
    scale, mask = (_tiled(factor, dim, rows, images) for factor in (scale, message["mask"]))
    return PerImage(name, dim, rows, plates, scale, mask)


def batch_dim(plates: Mapping[str, Plates], rows: int) -> int:
    """The dimension of the batch, counted from the right: that of the plate which holds every site.

    Where several do, it is the one without a size (`zoo.batch_plate`), else the only one of `rows`.

    Args:
        plates: of every site of the model, by site.
        rows: N, the size of the batch.

    Raises:
        ValueError: if there is no such plate, or more than one.
    """
    if not plates:
        raise ValueError("expected a model that samples or observes something; got no site")
    shared = _shared(plates.values())
    found = [p for p in shared if p.size == SIZELESS] or [p for p in shared if p.size == rows]
    if len(found) == 1 and found[0].dim is not None:
        return found[0].dim
    outside = [name for name, stack in plates.items() if not any(p.size in (SIZELESS, rows) for p in stack)]
    name = (outside or list(plates))[0]
    raise ValueError(
        f"expected every site in one plate over the {rows} images; got {name!r} in "
        f"{_described(plates[name])}: put all sites within one `with zoo.batch_plate():` or "
        'pyro.plate("batch", len(x)) (no global latents)'
    )


def _shared(stacks: Iterable[Plates]) -> list[CondIndepStackFrame]:
    first, *others = stacks
    return [
        plate
        for plate in first
        if plate.vectorized
        and all(any(p.name == plate.name and p.dim == plate.dim for p in stack) for stack in others)
    ]


def _subsamples(plate: CondIndepStackFrame) -> bool:
    return plate.full_size is not None and plate.full_size != plate.size


def _tiled(factor: Any, dim: int, rows: int, images: int) -> Any:
    """A scale or mask with a multiple of `images` in the batch, repeated to `rows`, sample-major."""
    if not isinstance(factor, Tensor) or factor.dim() < -dim:
        return factor
    size = factor.shape[dim]
    if size in (1, rows) or size % images or rows % size:
        return factor
    repeats = [1] * factor.dim()
    repeats[dim] = rows // size
    return factor.repeat(repeats)


def _described(plates: Iterable[CondIndepStackFrame]) -> str:
    def one(plate: CondIndepStackFrame) -> str:
        of = f" of {plate.full_size}" if _subsamples(plate) else ""
        return f"{plate.name!r} ({plate.size}{of}, dim={plate.dim})"

    return ", ".join(map(one, plates)) or "no plate"
