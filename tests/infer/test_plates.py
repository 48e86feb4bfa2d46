"""Plates: which dimension is the batch, what a subsample's scale is no part of, scales and masks."""

from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import nn

from tests.catalogue import PAIRS, images_for, pair
from tests.contracts import seeded
from zoo import ELBO, AmortizedGuide, Guide, ImportanceWeighted, batch_plate, log_likelihood, log_weights
from zoo.infer.objectives import monte_carlo

NOISE = 0.7  # standard deviation of a pixel given z

# A model of z ~ N(0, 1) and P pixels N(z, NOISE), by the plates that it may be written with; x is (B, P).
PLATES = {
    "sizeless": lambda x: batch_plate(),
    "of the images": lambda x: pyro.plate("images", len(x)),
    "subsample": lambda x: pyro.plate("data", 60_000, subsample=x),
    "subsample, dim": lambda x: pyro.plate("data", 60_000, subsample=x, dim=-1),
    "subsample_size": lambda x: pyro.plate("data", 60_000, subsample_size=len(x)),
}


class Vectors(nn.Module):
    """All pixels are one event."""

    batch = -1

    def __init__(self, plate=PLATES["sizeless"]):
        super().__init__()
        self.plate = plate

    def forward(self, x):
        with self.plate(x):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))
            return pyro.sample("x", dist.Normal(z[:, None].expand_as(x), NOISE).to_event(1), obs=x)


class PixelsOutside(Vectors):
    """A plate of pixels at dim -2, left of the batch."""

    def forward(self, x):
        with self.plate(x):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))
            with pyro.plate("pixels", x.shape[1], dim=-2):
                return pyro.sample("x", dist.Normal(z.expand_as(x.T), NOISE), obs=x.T)


class PixelsInside(Vectors):
    """A plate of pixels at dim -1, the batch at dim -2."""

    batch = -2

    def __init__(self):
        super().__init__(lambda x: pyro.plate("images", len(x), dim=-2))

    def forward(self, x):
        with self.plate(x):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 1).double(), 1.0))
            with pyro.plate("pixels", x.shape[1], dim=-1):
                return pyro.sample("x", dist.Normal(z.expand_as(x), NOISE), obs=x)


class Exact(Guide):
    """P(z | x), moved by `shift`."""

    def __init__(self, model, shift=0.0):
        super().__init__(model)
        self.shape, self.shift = (-1,) + (1,) * (-1 - model.batch), shift

    def posterior(self, name, prior, h, x):
        precision = 1 + x.shape[1] / NOISE**2
        loc = x.sum(1) / NOISE**2 / precision + self.shift
        return dist.Normal(loc.view(self.shape), precision**-0.5)


def drawn_before(model, plate):
    """The exact guide as a plain Pyro program."""

    def guide(x):
        with plate(x):
            pyro.sample("z", Exact(model).posterior("z", None, None, x))

    return guide


def log_evidence(x):
    covariance = NOISE**2 * torch.eye(x.shape[1]).double() + 1
    return dist.MultivariateNormal(torch.zeros(x.shape[1]).double(), covariance).log_prob(x)


def some(n, pixels=3):
    return torch.randn(n, pixels, generator=torch.Generator().manual_seed(n)).double()


LAYOUTS = {"vectors": Vectors, "pixels outside": PixelsOutside, "pixels inside": PixelsInside}
plates = pytest.mark.parametrize("plate", PLATES.values(), ids=PLATES)
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


# subsampled plates


@plates
@pytest.mark.parametrize("chunk", [1, 10, 100])
def test_the_evidence_of_an_image_does_not_depend_on_a_plates_size(plate, chunk):
    """The guide is exact, so that every weight is log p(x)."""
    model, x = Vectors(plate), some(4)
    for guide in (Exact(model), drawn_before(model, plate)):
        found = log_likelihood(model, guide, x, 100, chunk=chunk, seed=0)
        torch.testing.assert_close(found.log_likelihood, log_evidence(x))


@plates
@pytest.mark.parametrize("objective", [ELBO(num_particles=5, kl=monte_carlo), ImportanceWeighted(5)])
def test_a_bound_does_not_depend_on_a_plates_size(plate, objective):
    model, x = Vectors(plate), some(4)
    torch.testing.assert_close(objective(model, Exact(model))(x), -log_evidence(x).mean())


@plates
def test_a_kl_in_closed_form_does_not_depend_on_a_plates_size(plate):
    found, plain = Vectors(plate), Vectors()
    x = some(4)
    theirs, ours = (ELBO()(m, Exact(m, shift=0.3)).terms(x).kl["z"] for m in (found, plain))
    torch.testing.assert_close(ours, theirs)


def no_latents(x):
    return None


def test_a_subsample_of_the_given_images_is_refused():
    def model(x):
        with pyro.plate("data", len(x), subsample_size=2) as chosen:
            return pyro.sample("x", dist.Normal(torch.zeros(2, 3), 1.0).to_event(1), obs=x[chosen])

    with pytest.raises(ValueError, match=r"over the 4 images; got 'x' in 'data' \(2 of 4, dim=-1\)"):
        log_weights(model, no_latents, some(4), 1)


@pytest.mark.parametrize("dim", [-2, None])
def test_a_subsample_of_pixels_is_refused(dim):
    class Some(Vectors):
        def forward(self, x):
            with self.plate(x):
                z = pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))
                with pyro.plate("pixels", x.shape[1], subsample_size=2, dim=dim) as i:
                    return pyro.sample("x", dist.Normal(z.expand(2, len(x)), NOISE), obs=x.T[i])

    model = Some()
    with pytest.raises(ValueError, match=r"only the plate of the images to subsample; got 'pixels' \(2 of 3"):
        ELBO()(model, Exact(model))(some(4))


# the batch


@layouts
@pytest.mark.parametrize("images", [1, 3, 8])
@pytest.mark.parametrize("pixels", [3, 8, 24])
def test_every_layout_of_pixels_has_the_same_weights(layout, images, pixels):
    """As many pixels as images among them, or as images times samples."""
    model, plain, x = layout(), Vectors(), some(images, pixels)
    weights = log_weights(model, Exact(model, shift=0.3), x, 3, seed=0)
    torch.testing.assert_close(weights, log_weights(plain, Exact(plain, shift=0.3), x, 3, seed=0))
    exact = log_weights(model, Exact(model), x, 3, seed=0)
    torch.testing.assert_close(exact, log_evidence(x).expand(3, -1))


class OneZForAll(Vectors):
    """A vector z that all images share, of any length."""

    def forward(self, x):
        z = pyro.sample("z", dist.Normal(torch.zeros(4).double(), 1.0))
        with self.plate(x):
            return pyro.sample("x", dist.Normal(z.mean().expand_as(x), NOISE).to_event(1), obs=x)


def test_a_global_latent_as_long_as_the_batch_is_refused():
    with pytest.raises(ValueError, match=r"one plate over the 4 images; got 'z' in no plate"):
        ELBO()(OneZForAll(), Exact(Vectors()))(some(4))


def test_a_latent_that_the_guide_draws_outside_all_plates_is_refused():
    def guide(x):
        pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))

    with pytest.raises(ValueError, match="expected 'z' in a plate over the 4 images, dim=-1; got no plate"):
        ELBO()(Vectors(), guide)(some(4))


def test_a_dimension_that_no_plate_declares_is_refused_though_it_is_as_long_as_the_batch():
    class Undeclared(Vectors):
        def forward(self, x):
            with self.plate(x):
                z = pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))
                return pyro.sample("x", dist.Normal(z[:, None].expand_as(x), NOISE), obs=x)

    with pytest.raises(ValueError, match=r"one term an image at site 'x'.*got \(4, 4\).*\.to_event"):
        ELBO()(Undeclared(), Exact(Vectors()))(some(4, pixels=4))


def two_plates(first, second):
    def model(x):
        with first(x), second(x):
            return pyro.sample("x", dist.Normal(torch.zeros_like(x), 1.0), obs=x)

    return model


def test_of_two_plates_that_hold_everything_the_one_without_a_size_is_the_batch():
    model = two_plates(lambda x: batch_plate(), lambda x: pyro.plate("pixels", 4, dim=-2))
    x = some(4, pixels=4)
    weights = log_weights(model, no_latents, x, 1)
    torch.testing.assert_close(weights[0], dist.Normal(0.0, 1.0).log_prob(x).sum(0))


def test_two_plates_that_could_be_the_batch_are_refused():
    model = two_plates(lambda x: pyro.plate("a", 4, dim=-1), lambda x: pyro.plate("b", 4, dim=-2))
    with pytest.raises(ValueError, match=r"got 'x' in 'a' \(4, dim=-1\), 'b' \(4, dim=-2\).*batch_plate"):
        log_weights(model, no_latents, some(4, pixels=4), 1)


def test_a_model_without_a_site_is_refused():
    with pytest.raises(ValueError, match="samples or observes something; got no site"):
        log_weights(no_latents, no_latents, some(4), 1)


# scales and masks


@pytest.mark.parametrize("name", PAIRS)
def test_a_scaled_model_has_pyros_loss(name):
    model, guide = pair(name)
    x = images_for(name)
    run = poutine.scale(model, scale=2.5)
    ours = seeded(ELBO(kl=monte_carlo)(run, guide), x)
    torch.testing.assert_close(ours, seeded(Trace_ELBO()(run, guide.bound_to(run)), x) / len(x))


@pytest.mark.parametrize("plate", [PLATES["sizeless"], PLATES["of the images"]])
@pytest.mark.parametrize("factor", [0.3, torch.tensor([0.5, 2.0, 1.0, 0.1]).double()], ids=["one", "each"])
def test_a_scale_of_one_program_is_not_of_the_other(plate, factor):
    model, x = Vectors(plate), some(4)
    guide = drawn_before(model, plate)
    for pair_ in [(poutine.scale(model, factor), guide), (model, poutine.scale(guide, factor))]:
        ours = seeded(ELBO(kl=monte_carlo)(*pair_), x)
        torch.testing.assert_close(ours, seeded(Trace_ELBO()(*pair_), x) / len(x))


def test_a_scale_within_a_subsampled_plate_is_kept():
    x, factor = some(4), 0.37

    def model(plate, x):
        return poutine.scale(Vectors(PLATES[plate]), scale=factor)(x)

    plain, subsampled = (partial(model, plate) for plate in ("sizeless", "subsample"))
    guide = Exact(Vectors())
    torch.testing.assert_close(
        seeded(ELBO()(subsampled, guide).terms, x).elbo(), seeded(ELBO()(plain, guide).terms, x).elbo()
    )


@layouts
@pytest.mark.parametrize("k", [1, 3])
def test_a_masked_image_counts_nothing_in_any_of_its_samples(layout, k):
    model, x, seen = layout(), some(4), torch.tensor([True, False, True, False])
    mask = seen.view((-1,) + (1,) * (-1 - layout.batch))
    weights = log_weights(poutine.mask(model, mask=mask), Exact(model), x, k, seed=0)
    assert (weights[:, ~seen] == 0).all()
    torch.testing.assert_close(weights[:, seen], log_evidence(x)[seen].expand(k, -1))


def test_masked_pixels_are_not_observed():
    """The evidence of the others, by the exact guide for these."""
    x, seen = some(4, pixels=5), torch.tensor([True, False, True, True, False])

    class Partly(PixelsOutside):
        def forward(self, x):
            with self.plate(x):
                z = pyro.sample("z", dist.Normal(torch.zeros(len(x)).double(), 1.0))
                with pyro.plate("pixels", x.shape[1], dim=-2), poutine.mask(mask=seen[:, None]):
                    return pyro.sample("x", dist.Normal(z.expand_as(x.T), NOISE), obs=x.T)

    guide = AmortizedGuide(lambda x: Exact(Vectors()).posterior("z", None, None, x[:, seen]))
    weights = log_weights(Partly(), guide, x, 3, seed=0)
    torch.testing.assert_close(weights, log_evidence(x[:, seen]).expand(3, -1))
