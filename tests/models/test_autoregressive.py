"""Autoregressive densities: masses sum to one, exact likelihoods, samples, classes as contexts."""

import itertools
import math

import pytest
import torch
from torch import nn

import zoo
from tests.catalogue import EXPERIMENTS, experiment, randomised
from tests.contracts import seeded, standard_errors
from zoo import AutoregressiveDensity, AutoregressiveLikelihood, Bernoullis, GatedPixelCNN
from zoo.errors import UsageError
from zoo.experiments import find
from zoo.infer.joint import Joint
from zoo.models.autoregressive import NoLatents

SMALL = (1, 3, 3)
DENSITIES = [n for n in EXPERIMENTS if find(n).system.target == "zoo.models.autoregressive.autoregressive"]
BINARY = [name for name in DENSITIES if not name.endswith("cifar10")]
PIXELVAES = [name for name in EXPERIMENTS if name.startswith("pixelvae")]


def everything(shape=SMALL):
    """All binary images of a shape."""
    pixels = itertools.product([0.0, 1.0], repeat=math.prod(shape))
    return torch.tensor(list(pixels), dtype=torch.float64).view(-1, *shape)


def system(name, shape=SMALL, **options):
    """An experiment's system in float64 with random parameters, the same ones at every call."""
    return randomised(zoo.build(name, shape, **options).double().eval())


@pytest.mark.parametrize("name", BINARY)
def test_masses_of_all_images_sum_to_one(name):
    model = system(name, (1, 3, 3)).model
    with torch.no_grad():
        masses = model.density().log_prob(everything()).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)
    assert masses.max() - masses.min() > 1e-5  # and they are not all the same


@pytest.mark.parametrize("name", [name for name in DENSITIES if name not in BINARY])
def test_masses_of_grey_levels_sum_to_one_at_every_site(name):
    """Two pixels, two levels, colours that a softmax draws one after the other and a mixture together."""
    shape = (3, 1, 2)
    model = experiment(name, shape, levels=2).model.double().eval()
    with torch.no_grad():
        masses = randomised(model).density().log_prob(2 * everything(shape) - 1).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", PIXELVAES)
def test_masses_given_a_latent_sum_to_one(name):
    model = system(name).model
    with torch.no_grad():
        z = seeded(model.prior().expand([1]).sample)
        x = everything()
        masses = model.likelihood(z).expand([len(x)]).log_prob(x).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)


def test_a_pixelvaes_likelihood_depends_on_its_latent():
    model = system("pixelvae_digits").model
    with torch.no_grad():
        one, other = model.likelihood(torch.tensor([[0.0], [2.0]]).double().expand(2, 16)).log_prob(
            everything()[[77, 77]]
        )
    assert (one - other).abs() > 1e-3


@pytest.mark.parametrize("name", BINARY)
def test_the_log_likelihood_is_exact_and_needs_no_samples(name):
    made = experiment(name, SMALL).double().eval()
    x = everything()[:7]
    result = zoo.log_likelihood(made.model, made.guide, x, 50)
    assert result.exact
    assert result.samples == 1
    assert not list(made.guide.parameters())
    with torch.no_grad():
        expected = made.model.density().log_prob(x)
    torch.testing.assert_close(result.log_likelihood, expected)
    torch.testing.assert_close(zoo.ELBO()(made.model, made.guide)(x), -expected.mean())


def test_what_has_latents_is_not_exact():
    made = experiment("pixelvae_digits", SMALL).double()
    assert not zoo.log_likelihood(made.model, made.guide, everything()[:2], 3).exact


@pytest.mark.parametrize("name", ["pixelcnn_digits", "gated_pixelcnn_digits", "row_lstm_digits"])
def test_own_samples_have_the_log_likelihood_that_the_entropy_says(name):
    """E[log p(x)] = -H for x ~ p, H from all images; and other samples have not."""
    made = system(name)
    with torch.no_grad():
        log_p = made.model.density().log_prob(everything())
        own = made.model.density().log_prob(seeded(zoo.sample, made.model, 1500))
        noise = made.model.density().log_prob(seeded(torch.rand, 1500, *SMALL).round().double())
    entropy = -(log_p.exp() * log_p).sum()
    assert standard_errors(own, -entropy).abs() < 4
    assert standard_errors(noise, -entropy).abs() > 6


def test_samples_are_as_frequent_as_their_masses():
    made = system("pixelcnn_digits", (1, 1, 3))
    with torch.no_grad():
        masses = made.model.density().log_prob(everything((1, 1, 3))).exp()
    x = seeded(zoo.sample, made.model, 20_000)
    index = (x.flatten(1) @ torch.tensor([4.0, 2.0, 1.0]).double()).long()
    shares = torch.bincount(index, minlength=8) / len(x)
    assert ((shares - masses).abs() < 4.5 * (masses * (1 - masses) / len(x)).sqrt()).all()


@pytest.mark.parametrize(
    "name", ["pixelcnn_digits", "pixelcnnpp_digits", "row_lstm_digits", "wavenet_digits"]
)
def test_systems_learn(name):
    """A few steps lower the loss of images of stripes."""
    loss = experiment(name).loss().train()
    x = torch.zeros(20, 1, 8, 8)
    x[..., ::2, :] = 1
    optimiser = torch.optim.Adam(loss.parameters(), 1e-2)
    first = loss(x).item()
    for _ in range(15):
        optimiser.zero_grad()
        loss(x).backward()
        optimiser.step()
    assert loss(x).item() < first - 1


# given a class


class ByClass(zoo.Program):
    """p(x | label), the label as a one-hot context."""

    def __init__(self, likelihood):
        super().__init__()
        self.likelihood = likelihood

    def given(self, labels):
        return self.likelihood(nn.functional.one_hot(labels, 3).double())


def conditional(net=None, context=3):
    network = GatedPixelCNN(SMALL, 1, channels=4, layers=2, head=4, kernel=3, context=context)
    return ByClass(randomised(AutoregressiveLikelihood(network, Bernoullis(1), net=net), std=0.6).double())


@pytest.mark.parametrize("net", [None, nn.Linear(3, 3)], ids=["one-hot", "embedded"])
def test_masses_sum_to_one_in_every_class_and_change_with_it(net):
    model = conditional(net)
    x = everything()
    with torch.no_grad():
        masses = torch.stack([model.given(torch.tensor([c])).log_prob(x).exp() for c in range(3)])
    torch.testing.assert_close(masses.sum(1), torch.ones(3).double(), rtol=0, atol=1e-12)
    assert all((masses[a] - masses[b]).abs().sum() > 1e-2 for a, b in [(0, 1), (0, 2), (1, 2)])


def test_classes_are_told_apart_after_some_training():
    """Class 0 is dark and class 2 bright: so are samples of them."""
    torch.manual_seed(0)
    model = conditional().float()
    labels = torch.arange(3).repeat(40)
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(60):
        x = torch.bernoulli((labels / 2 * 0.8 + 0.1).view(-1, 1, 1, 1).expand(-1, *SMALL))
        loss = -model.likelihood(nn.functional.one_hot(labels, 3).float()).log_prob(x).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    drawn = model.likelihood(torch.eye(3)).sample((200,)).mean((0, 2, 3, 4))
    assert drawn[0] < 0.3 < 0.4 < drawn[1] < 0.6 < 0.7 < drawn[2]


def test_a_map_is_a_context():
    """p(x | map), the map as a convolution makes it of another image."""
    model = conditional(nn.Conv2d(1, 2, 3, padding=1), context=(2, 3, 3)).likelihood
    with torch.no_grad():
        masses = model(everything()[[5]]).log_prob(everything()).exp()
    assert masses.sum().item() == pytest.approx(1, abs=1e-12)


def test_features_that_do_not_fit_the_family_are_refused():
    with pytest.raises(ValueError, match="Bernoullis takes 1 features per pixel; the network returns 2"):
        AutoregressiveLikelihood(GatedPixelCNN(SMALL, 2, channels=4, layers=1), Bernoullis(1))


# what is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pixelcnn_digits", {"blocks": 0}, "blocks >= 1; got 0"),
        ("pixelcnn_digits", {"kernel": 4}, "an odd kernel; got 4"),
        ("gated_pixelcnn_digits", {"kernels": 2}, "an odd kernels; got 2"),
        ("gated_pixelcnn_digits", {"layers": 0}, "layers >= 1; got 0"),
        ("row_lstm_digits", {"channels": 0}, "channels >= 1; got 0"),
        ("diagonal_bilstm_digits", {"head": 0}, "head >= 1; got 0"),
        ("wavenet_digits", {"dilations": (1, 0)}, "dilations >= 1; got 0"),
        ("wavenet_digits", {"dilations": ()}, "dilations to be a list"),
        ("pixelcnnpp_digits", {"dropout": 1.0}, "0 <= dropout < 1; got 1.0"),
        ("pixelcnnpp_digits", {"resolutions": 0}, "resolutions >= 1; got 0"),
        (
            "pixelcnnpp_cifar10",
            {"likelihood": "categorical"},
            "3 channels .* at once: take likelihood=logistic_mixture",
        ),
        ("pixelvae_digits", {"latent": 0}, "latent >= 1; got 0"),
        ("vae_pixelcnn_prior_digits", {"spatial": False}, "a PixelCNN prior, spatial=true; got a vector"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(UsageError, match=message) as refused:
        zoo.build(name, **options)
    assert "\n" not in str(refused.value)


def test_the_sites_are_the_image_alone():
    made = experiment("pixelcnn_digits")
    assert isinstance(made.model, AutoregressiveDensity)
    assert isinstance(made.guide, NoLatents)
    sites = Joint(made.model, made.guide, torch.zeros(2, 1, 8, 8)).sample()
    assert {name: site.observed for name, site in sites.items()} == {"x": True}


def test_dropout_acts_in_training_alone():
    made = zoo.build("pixelcnnpp_digits", SMALL, channels=4, dropout=0.5)
    x = everything()[:8].float()
    loss = zoo.ELBO()(made.model, made.guide)
    assert loss.train()(x) != loss(x)
    assert loss.eval()(x) == loss(x)
