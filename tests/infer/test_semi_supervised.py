"""The semi-supervised objective against enumeration, exact evidence and sampled labels."""

import copy
import math

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from torch import nn
from torch.nn.functional import one_hot as to_one_hot

from tests.contracts import Calls, assert_all_close, loss_and_gradients, seeded, standard_errors
from tests.label_toys import CLASSES, NormalClasses, NormalClassesGuide, Table, TableGuide, images, one_hot
from zoo import ELBO, Guide, SemiSupervised, classify, error_rate, log_likelihood, log_weights, sample
from zoo.infer.classification import classification
from zoo.infer.handlers import Draws
from zoo.infer.joint import Joint
from zoo.infer.objectives import monte_carlo
from zoo.models.auxiliary import adgm
from zoo.models.m2 import m1_m2, m2

IMAGE = (1, 4, 4)


def table(*, auxiliary=True, exact=True):
    model = Table(auxiliary=auxiliary)
    return model, TableGuide(model, exact=exact)


def labels_of(n):
    return to_one_hot(torch.arange(n) % CLASSES, CLASSES).double()


def labelled_joint(model, x, y):
    """log p(x, y) of a model without other latents, y observed."""
    trace = pyro.poutine.trace(pyro.condition(model, data={"y": y})).get_trace(x)
    trace.compute_log_prob()
    return trace.nodes["x"]["log_prob"] + trace.nodes["y"]["log_prob"]


# a table of probabilities


def test_the_labels_joints_sum_to_the_unlabelled_marginal():
    model, _ = table(auxiliary=False)
    x = images()
    joints = [labelled_joint(model, x, y.expand(len(x), CLASSES)) for y in one_hot()]
    total = torch.stack(joints).logsumexp(0)
    torch.testing.assert_close(total, model.log_joint(x).logsumexp((1, 2)))
    pixels = torch.stack([labelled_joint(model, images(2), y.expand(2, CLASSES)) for y in one_hot()])
    torch.testing.assert_close(pixels.exp().sum(), torch.ones((), dtype=torch.float64))


@pytest.mark.parametrize("auxiliary", [True, False])
def test_with_exact_posteriors_the_unlabelled_bound_is_the_evidence(auxiliary):
    model, guide = table(auxiliary=auxiliary)
    x = images()
    with torch.no_grad():
        bound = SemiSupervised(num_particles=3)(model, guide).terms(x).elbo()
    torch.testing.assert_close(bound, model.log_joint(x).logsumexp((1, 2)).expand(3, -1))


def enumerated_bound(model, guide, x):
    """E_q(a | x) sum_y q(y | x, a) (log p(x, y, a) - log q(a | x) - log q(y | x, a))."""
    log_a, log_y = (t[x.flatten().long()] for t in guide.log_q())
    inner = model.log_joint(x).transpose(1, 2) - log_a[:, :, None] - log_y
    return (log_a.exp() * (log_y.exp() * inner).sum(2)).sum(1)


def test_the_unlabelled_bound_is_the_enumerated_one_in_expectation_over_the_auxiliary_draw():
    model, guide = table(exact=False)
    x = images(2)
    with torch.no_grad():
        bound = seeded(SemiSupervised(num_particles=4000)(model, guide).terms, x).elbo()
        expected = enumerated_bound(model, guide, x)
        assert standard_errors(bound, expected).abs().max() < 4
        assert (expected < model.log_joint(x).logsumexp((1, 2))).all()


def test_without_auxiliary_draws_the_bound_and_its_gradients_are_the_enumerated_ones():
    model, guide = table(auxiliary=False, exact=False)
    x = images(2)
    bound = SemiSupervised()(model, guide).terms(x).elbo()[0]
    log_y = guide.log_q()[1][x.flatten().long(), 0]
    expected = (log_y.exp() * (model.log_joint(x)[..., 0] - log_y)).sum(1)
    torch.testing.assert_close(bound, expected)
    parameters = [model.y, model.x, guide.y]
    gradients = [torch.autograd.grad(b.sum(), parameters, retain_graph=True) for b in (bound, expected)]
    assert_all_close(*gradients)


# exact evidence


def test_labelled_and_unlabelled_bounds_are_exact_under_the_exact_posteriors():
    model = NormalClasses()
    loss = SemiSupervised(num_particles=2, kl=monte_carlo)(model, NormalClassesGuide(model))
    x, y = model.images(), labels_of(4)
    terms, log_q = loss.labelled_terms(x, y)
    of_labels = (model.log_joint(x) * y).sum(1).expand(2, -1)
    torch.testing.assert_close(terms.elbo(), of_labels)
    torch.testing.assert_close(loss.terms(x).elbo(), model.log_joint(x).logsumexp(1).expand(2, -1))
    torch.testing.assert_close(log_q, of_labels - model.log_joint(x).logsumexp(1))


@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_a_posterior_that_is_off_costs_exactly_its_kl(shift):
    """KL(N(m + s shift, s^2) || N(m, s^2)) = shift^2 / 2 whatever the label."""
    model = NormalClasses()
    loss = SemiSupervised(num_particles=4000)(model, NormalClassesGuide(model, shift=shift))
    x, y = model.images(), labels_of(4)
    labelled, unlabelled = loss.labelled_terms(x, y)[0].elbo(), loss.terms(x).elbo()
    evidence = (model.log_joint(x) * y).sum(1)
    assert standard_errors(labelled, evidence - shift**2 / 2).abs().max() < 4
    assert standard_errors(unlabelled, model.log_joint(x).logsumexp(1) - shift**2 / 2).abs().max() < 4


def test_a_classifier_that_is_off_costs_exactly_its_kl():
    model, x = NormalClasses(), NormalClasses().images()
    logits = torch.tensor([[0.4, -0.2, 0.1]], dtype=torch.float64)
    loss = SemiSupervised(kl=monte_carlo)(model, NormalClassesGuide(model, logits=logits))
    q = torch.distributions.Categorical(logits=logits)
    p = torch.distributions.Categorical(logits=model.log_joint(x))
    kl = torch.distributions.kl_divergence(q, p)
    torch.testing.assert_close(loss.terms(x).elbo()[0], model.log_joint(x).logsumexp(1) - kl)


def test_the_enumerated_bound_is_the_expectation_of_sampled_labels():
    model = NormalClasses()
    logits = torch.tensor([[0.4, -0.2, 0.1]], dtype=torch.float64)
    guide = NormalClassesGuide(model, shift=0.4, logits=logits)
    x = model.images()
    with torch.no_grad():
        sampled = seeded(ELBO(num_particles=8000)(model, guide).terms, x).elbo()
        enumerated = seeded(SemiSupervised(num_particles=8000)(model, guide).terms, x, seed=1).elbo()
    assert (enumerated.std(0) < sampled.std(0)).all()
    difference = enumerated.mean(0) - sampled.mean(0)
    error = ((enumerated.var(0) + sampled.var(0)) / 8000).sqrt()
    assert (difference / error).abs().max() < 4


def test_importance_sampling_with_sampled_labels_reaches_the_evidence():
    model = NormalClasses()
    guide = NormalClassesGuide(model, shift=0.4, logits=torch.zeros(1, CLASSES, dtype=torch.float64))
    x = model.images()
    result = log_likelihood(model, guide, x, 5000, seed=0)
    error = (result.log_likelihood - model.log_joint(x).logsumexp(1)) / result.sampling_stderr
    assert error.abs().max() < 4


# real systems

SYSTEMS = {
    "m2": lambda: m2(IMAGE, latent=3, hidden=(8,), classes=3),
    "m1 m2": lambda: m1_m2(IMAGE, latent=3, second=2, hidden=(8,), classes=3),
    "adgm": lambda: adgm(IMAGE, latent=3, auxiliary=2, hidden=(8,), classes=3),
}
systems = pytest.mark.parametrize("name", SYSTEMS)


def system(name):
    torch.manual_seed(0)
    model, guide = SYSTEMS[name]()
    return model.double(), guide.double()


def binary(n=4):
    return torch.rand(n, *IMAGE, generator=torch.Generator().manual_seed(n)).round().double()


@systems
def test_bound_is_the_expectation_of_pyros_with_sampled_labels(name):
    model, guide = system(name)
    x = binary(2).repeat(3000, 1, 1, 1)
    with torch.no_grad():
        ours = seeded(SemiSupervised()(model, guide).terms, x).elbo().view(3000, 2).mean(1)
        theirs = seeded(ELBO(kl=monte_carlo)(model, guide).terms, x, seed=1).elbo().view(3000, 2).mean(1)
        pyros = -seeded(Trace_ELBO()(model, guide), x, seed=1) / len(x)
    torch.testing.assert_close(pyros, theirs.mean())
    error = ((ours.var() + theirs.var()) / 3000).sqrt()
    assert ((ours.mean() - theirs.mean()) / error).abs() < 4


@systems
def test_every_parameter_has_a_gradient_from_unlabelled_images(name):
    loss = SemiSupervised()(*system(name))
    loss(binary()).backward()
    for path, parameter in loss.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all()
    guide = loss.guide
    classifier = list((guide.heads["y"] if hasattr(guide, "heads") else guide.label).parameters())
    assert all((p.grad != 0).any() for p in classifier)


@systems
def test_the_loss_is_the_weighted_sum_of_its_three_parts(name):
    model, guide = system(name)
    x, labelled = binary(), (binary(3), labels_of(3))
    objective = SemiSupervised(labelled=labelled, alpha=0.7, weight=0.3, labelled_batch=3)
    loss = objective(model, guide).train()
    torch.manual_seed(0)
    unlabelled = loss.terms(x)
    of_labelled, log_q = loss.labelled_terms(*labelled)
    expected = -unlabelled.elbo().mean() - 0.3 * of_labelled.elbo().mean() - 0.7 * log_q.mean()
    torch.testing.assert_close(seeded(loss, x), expected)
    torch.testing.assert_close(loss.stats["labelled_elbo"], of_labelled.elbo().mean().detach())
    torch.testing.assert_close(loss.stats["cross_entropy"], -log_q.mean().detach())
    torch.testing.assert_close(loss.stats["elbo"], unlabelled.elbo().mean().detach())
    assert loss.stats["accuracy"] in torch.arange(4) / 3


@systems
def test_evaluation_is_the_plain_unlabelled_bound(name):
    model, guide = system(name)
    x, labelled = binary(), (binary(3), labels_of(3))
    loss = SemiSupervised(labelled=labelled, beta=0.3, free_bits=2.0)(model, guide).eval()
    plain = SemiSupervised()(model, guide).eval()
    torch.testing.assert_close(seeded(loss, x), seeded(plain, x))
    torch.testing.assert_close(seeded(loss, x), -seeded(loss.terms, x).elbo().mean())


@systems
def test_free_bits_are_not_for_the_label(name):
    loss = SemiSupervised(free_bits=50.0)(*system(name)).train()
    x = binary()
    terms = seeded(loss.terms, x)
    latents = len(terms.kl) - 1
    expected = 50.0 * latents + terms.kl["y"].mean() - terms.log_likelihood["x"].mean()
    torch.testing.assert_close(seeded(loss, x), expected)


@systems
def test_the_labels_term_is_its_kl_from_the_prior(name):
    model, guide = system(name)
    x = binary()
    kl = seeded(SemiSupervised()(model, guide).terms, x).kl["y"][0]
    torch.manual_seed(0)
    joint = Joint(model, guide, x)
    q = guide.posterior("y", None, None, joint.bottom_up().features)
    torch.testing.assert_close(kl, math.log(3) - q.entropy())


def test_what_is_drawn_bottom_up_is_drawn_once_for_all_labels():
    model, guide = system("adgm")
    joint = Joint(model, guide, binary())
    below = joint.bottom_up(2)
    copied = below.copies(3)
    assert copied.drawn["a"]["value"].shape == (24, 2)
    torch.testing.assert_close(copied.drawn["a"]["value"], below.drawn["a"]["value"].repeat(3, 1))
    sites = joint.answered(copied, 6, given={"y": torch.eye(3).double().repeat_interleave(8, 0)})
    log_q = below.drawn["a"]["fn"].log_prob(below.drawn["a"]["value"])
    torch.testing.assert_close(sites["a"].log_q(), log_q.repeat(3))


@systems
def test_a_run_encodes_an_image_once_for_all_labels(name):
    model, guide = system(name)
    networks = {n: m for n, m in guide.named_modules() if isinstance(m, nn.Linear)}
    with Calls(networks) as calls:
        SemiSupervised()(model, guide)(binary(4))
    rows = {n: calls.rows[n] for n in networks}
    assert set(calls.count.values()) == {1}
    below = [n for n in rows if not n.startswith(("latent", "second", "heads.z"))]
    assert {rows[n] for n in below} == {4}
    assert {rows[n] for n in rows if n not in below} == {12}


def test_what_depends_on_no_label_is_decoded_once():
    model, guide = system("m1 m2")
    networks = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    with Calls(networks) as calls:
        SemiSupervised(num_particles=2)(model, guide)(binary(4))
    of_x = {n for n in networks if n.startswith("likelihood")}
    assert {calls.rows[n] for n in of_x} == {8}
    assert {calls.rows[n] for n in networks if n not in of_x} == {24}


def test_decoding_once_changes_neither_the_loss_nor_its_gradients(monkeypatch):
    model, guide = system("m1 m2")
    loss = SemiSupervised(num_particles=2, labelled=(binary(3), labels_of(3)))(model, guide).train()
    once = loss_and_gradients(loss, binary(), parameters=list(loss.parameters()))
    monkeypatch.setattr("zoo.models.m2.once_a_draw", lambda likelihood, a: likelihood(a))
    each = loss_and_gradients(loss, binary(), parameters=list(loss.parameters()))
    assert_all_close([once[0], *once[1]], [each[0], *each[1]])


# labelled images


def drawn(loss):
    """The labelled images of a step and their labels."""
    return loss._labelled(loss._chosen())


def counted(loss, steps=200):
    """How often each labelled image was drawn."""
    draws = torch.cat([drawn(loss)[0].flatten(1)[:, 0] for _ in range(steps)])
    return draws.bincount() if not draws.is_floating_point() else draws.long().bincount()


def test_labelled_images_are_drawn_uniformly_with_their_labels():
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, *IMAGE)
    y = to_one_hot(torch.arange(6) % 3, 3).float()
    loss = SemiSupervised(labelled=(x, y), labelled_batch=4)(*SYSTEMS["m2"]())
    times = counted(loss, 600).double()
    expected = 400.0
    assert ((times - expected) ** 2 / expected).sum() < 20.5  # chi^2 of 5 degrees of freedom, 0.1 %
    drawn_x, drawn_y = drawn(loss)
    assert torch.equal(drawn_y.argmax(1), drawn_x[:, 0, 0, 0].long() % 3)


@pytest.mark.parametrize(("labels", "labelled_batch"), [(7, 100), (9, 4), (1, 1)])
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_train_as_one_of_the_same_labelled_batch(
    labels, labelled_batch, processes, monkeypatch
):
    """The mean of their gradients, each on its share; without noise, so that nothing else differs."""
    monkeypatch.setattr(Draws, "draw", lambda self, msg: msg.update(value=msg["fn"].mean))
    labelled = (binary(labels), labels_of(labels))
    objective = SemiSupervised(
        labelled=labelled, labelled_batch=labelled_batch, alpha=0.7, weight=0.3, free_bits=0.2
    )
    loss, x = objective(*system("adgm")).train(), binary(6)
    parameters = list(loss.parameters())
    alone = loss_and_gradients(loss, x, parameters=parameters)

    def of_rank(rank):
        monkeypatch.setattr("zoo.infer.semi_supervised.rank", lambda: rank)
        monkeypatch.setattr("zoo.infer.semi_supervised.world_size", lambda: processes)
        share = x.tensor_split(processes)[rank]
        value, gradients = loss_and_gradients(loss, share, parameters=parameters)
        zeros = (torch.zeros_like(p) for p in parameters)
        return [value, *(z if g is None else g for z, g in zip(zeros, gradients, strict=True))]

    shares = [of_rank(rank) for rank in range(processes)]
    together = [torch.stack(parts).mean(0) for parts in zip(*shares, strict=True)]
    assert_all_close(together, [alone[0], *alone[1]])


def test_few_labelled_images_are_taken_whole():
    labelled = (binary(3), labels_of(3))
    loss = SemiSupervised(labelled=labelled)(*system("m2"))
    assert all(map(torch.equal, drawn(loss), labelled))


def test_labelled_images_are_encoded_anew_in_every_step():
    x = torch.full((5, *IMAGE), 128, dtype=torch.uint8)
    from functools import partial

    from zoo.data import Binary

    objective = SemiSupervised(labelled=(x, labels_of(5)), encoding=partial(Binary(), levels=256))
    loss = objective(*SYSTEMS["m2"]())
    one, two = drawn(loss)[0], drawn(loss)[0]
    assert set(one.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(one, two)


def test_labelled_images_are_no_part_of_the_state():
    plain = SemiSupervised()(*system("m2"))
    loss = SemiSupervised(labelled=(binary(3), labels_of(3)))(*system("m2"))
    assert set(loss.state_dict()) == set(plain.state_dict())
    plain.load_state_dict(loss.state_dict(), strict=True)
    copied = copy.deepcopy(loss).train()
    assert seeded(copied, binary()) == seeded(loss.train(), binary())


def test_labels_teach_the_classifier():
    """A few steps on the cross-entropy alone, weight 0, lower it."""
    labelled = (binary(3), labels_of(3))
    loss = SemiSupervised(labelled=labelled, alpha=50.0, weight=0.0)(*system("m2")).train()
    optimizer = torch.optim.Adam(loss.parameters(), 1e-2)
    found = []
    for _ in range(30):
        optimizer.zero_grad()
        loss(binary()).backward()
        optimizer.step()
        found.append(loss.stats["cross_entropy"].item())
    assert found[-1] < 0.1 < found[0]
    assert loss.stats["accuracy"] == 1


def test_a_step_waits_for_no_number():
    from tests.contracts import Synchronisations

    labelled = (binary(9), labels_of(9))
    loss = SemiSupervised(labelled=labelled, labelled_batch=4)(*system("adgm")).train()
    x = binary()
    loss(x)
    with pyro.validation_enabled(False), Synchronisations() as waits:
        loss(x).backward()
    assert waits.count == 0


# classification


@systems
def test_classify_is_the_mean_over_bottom_up_draws(name):
    model, guide = system(name)
    x = binary()
    q = classify(model, guide, x, samples=3, seed=1)
    torch.testing.assert_close(q.sum(1), torch.ones(4).double())
    assert torch.equal(q, classify(model, guide, x, samples=3, seed=1))
    singles = seeded(lambda: torch.stack([classify(model, guide, x) for _ in range(3)]))
    torch.testing.assert_close(seeded(classify, model, guide, x, samples=3), singles.mean(0))
    assert torch.equal(singles[0], singles[1]) == (name == "m2")


def test_classify_is_exact_where_the_guide_is():
    model = NormalClasses()
    x = model.images()
    q = classify(model, NormalClassesGuide(model), x)
    torch.testing.assert_close(q, model.log_joint(x).softmax(1))
    best = model.log_joint(x).argmax(1)
    assert error_rate(model, NormalClassesGuide(model), x, best) == 0
    assert error_rate(model, NormalClassesGuide(model), x, (best + 1) % CLASSES) == 1
    found = classification(model, NormalClassesGuide(model), x, best)
    expected = -model.log_joint(x).log_softmax(1).max(1).values
    torch.testing.assert_close(found.cross_entropy, expected)


def test_class_conditional_samples_come_by_conditioning():
    model = NormalClasses()
    y = one_hot()[2].expand(4000, CLASSES)
    x = sample(pyro.condition(model, data={"y": y}), 4000)[:, 0, 0]
    sd = math.sqrt(model.slopes[2] ** 2 + model.noise**2)
    assert standard_errors(x, model.means[2]).abs() < 4
    assert x.std().item() == pytest.approx(sd, rel=0.05)


@systems
def test_chunks_do_not_change_the_weights(name):
    model, guide = system(name)
    whole = log_weights(model, guide, binary(), 6, seed=0)
    torch.testing.assert_close(log_weights(model, guide, binary(), 6, chunk=2, seed=0), whole)


# what is refused


class DrawsLabel(Guide):
    def bottom_up(self, features):
        with pyro.plate("rows", len(features)):
            pyro.sample("y", pyro.distributions.OneHotCategorical(torch.ones(len(features), 3).double()))
        return features


def test_a_label_that_is_drawn_bottom_up_is_refused():
    model, _ = system("m2")
    with pytest.raises(ValueError, match="draws 'y' in bottom_up, so it cannot be summed over"):
        SemiSupervised()(model, DrawsLabel())(binary())


def test_a_model_without_a_label_is_refused():
    from tests.catalogue import vae

    model, _ = vae(IMAGE)
    _, guide = SYSTEMS["m2"]()
    with pytest.raises(ValueError, match="expected a model with a site 'y'"):
        SemiSupervised()(model, NoLabelInModel(guide))(binary().float())


class NoLabelInModel(Guide):
    """A classifier beside a model of no label."""

    def __init__(self, guide):
        super().__init__()
        self.guide = guide

    def posterior(self, name, prior, h, features):
        return self.guide.posterior("y", None, None, self.guide.encode(features)) if name == "y" else prior


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha >= 0, finite; got -1.0"),
        ({"weight": math.inf}, "weight >= 0, finite; got inf"),
        ({"labelled_batch": 0}, "labelled_batch >= 1; got 0"),
        ({"free_bits": -1.0}, "free_bits >= 0"),
        ({"labelled": (torch.zeros(3, 1, 2, 2), torch.zeros(2, 3))}, "one-hot"),
        ({"labelled": (torch.zeros(3, 1, 2, 2), torch.zeros(3, dtype=torch.long))}, "one-hot"),
        ({"labelled": (torch.zeros(0, 1, 2, 2), torch.zeros(0, 3))}, "one-hot"),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        SemiSupervised(**options)


def test_labels_that_do_not_match_the_images_are_refused():
    model, guide = system("m2")
    with pytest.raises(ValueError, match=r"one label an image, \(4,\); got \(3,\)"):
        error_rate(model, guide, binary(), torch.zeros(3, dtype=torch.long))


def test_gradients_are_those_of_a_seed():
    loss = SemiSupervised(labelled=(binary(9), labels_of(9)), labelled_batch=4)(*system("adgm")).train()
    one = loss_and_gradients(loss, binary(), parameters=loss.parameters())
    two = loss_and_gradients(loss, binary(), parameters=loss.parameters())
    assert one[0] == two[0]
    assert_all_close(one[1], two[1], atol=0, rtol=0)
