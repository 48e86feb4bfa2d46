"""Anomaly detection: figures against scikit-learn's, the bounds against their definition, and the signs."""

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from tests.catalogue import images_for, pair
from tests.contracts import assert_equal_up_to_rounding, operations, seeded, standard_errors
from tests.linear_gaussian import NONE, WRONG, Error, LinearGaussian, TopDown, two_layers
from zoo import above, log_likelihood, log_weights
from zoo.analysis.anomaly import SAMPLES, auprc, auroc, bounds, chosen_layers, compare, fpr_at, llr, scores
from zoo.errors import UsageError
from zoo.seeds import mixed_seed

# figures


def drawn(seed, levels):
    """Scores with ties, more of them the fewer levels there are."""
    generator = torch.Generator().manual_seed(seed)
    normal, anomalous = (torch.randn(n, generator=generator) + 0.5 * i for i, n in enumerate((83, 41)))
    if levels is not None:
        normal, anomalous = ((s * levels).round() / levels for s in (normal, anomalous))
    return normal, anomalous


SCORES = {f"{levels} levels, {seed}": drawn(seed, levels) for levels in (None, 3, 1, 0.2) for seed in (0, 1)}
SCORES |= {
    "apart": (torch.zeros(5), torch.ones(3)),
    "the wrong way round": (torch.ones(5), torch.zeros(3)),
    "all one": (torch.ones(5), torch.ones(3)),
    "one of each": (torch.tensor([0.3]), torch.tensor([0.2])),
    "infinite": (torch.tensor([0.0, 1.0, 1e9]), torch.tensor([1.0, 1e12])),
}
with_scores = pytest.mark.parametrize(("normal", "anomalous"), SCORES.values(), ids=SCORES)


def for_sklearn(normal, anomalous):
    labels = torch.cat([torch.zeros(len(normal)), torch.ones(len(anomalous))])
    return labels.numpy(), torch.cat([normal, anomalous]).double().numpy()


@with_scores
def test_auroc_is_scikit_learns(normal, anomalous):
    assert auroc(normal, anomalous) == pytest.approx(
        roc_auc_score(*for_sklearn(normal, anomalous)), abs=1e-12
    )


@with_scores
def test_auprc_is_scikit_learns_average_precision(normal, anomalous):
    expected = average_precision_score(*for_sklearn(normal, anomalous))
    assert auprc(normal, anomalous) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("tpr", [0.07, 0.5, 0.8, 0.95, 1.0])
@with_scores
def test_false_positives_are_those_of_scikit_learns_curve(normal, anomalous, tpr):
    fpr, curve, _ = roc_curve(*for_sklearn(normal, anomalous), drop_intermediate=False)
    assert fpr_at(normal, anomalous, tpr=tpr) == pytest.approx(fpr[(curve >= tpr).argmax()], abs=1e-12)


@with_scores
def test_auroc_counts_pairs(normal, anomalous):
    wins = (anomalous[:, None] > normal).double() + 0.5 * (anomalous[:, None] == normal)
    assert auroc(normal, anomalous) == pytest.approx(wins.mean().item(), abs=1e-12)
    assert auroc(anomalous, normal) == pytest.approx(1 - auroc(normal, anomalous), abs=1e-12)


@pytest.mark.parametrize("figure", [auroc, auprc, fpr_at])
@pytest.mark.parametrize(
    ("normal", "said"), [([], "0 NaN"), ([1.0, float("nan")], "1 NaN"), ([[1.0], [2.0]], r"got \(2, 1\)")]
)
def test_scores_that_are_none(figure, normal, said):
    with pytest.raises(ValueError, match=said):
        figure(torch.tensor(normal), torch.ones(3))
    with pytest.raises(ValueError, match=said):
        figure(torch.ones(3), torch.tensor(normal))


@pytest.mark.parametrize("tpr", [0.0, -1.0, 1.1])
def test_a_share_that_is_none(tpr):
    with pytest.raises(ValueError, match="0 < tpr <= 1"):
        fpr_at(torch.ones(2), torch.ones(2), tpr=tpr)


# bounds and ratios


def test_bounds_are_the_mean_log_weights_of_guides_above():
    model, guide = pair("biva of 3 layers")
    x = images_for("biva of 3 layers")
    found = bounds(model, guide, x, [2, 0, 2, 1], samples=4, seed=5)
    assert list(found) == [0, 1, 2]
    for k, bound in found.items():
        weights = log_weights(model, above(guide, k), x, 4, seed=mixed_seed(5, 0))
        torch.testing.assert_close(bound, weights.mean(0))
        torch.testing.assert_close(bound, log_likelihood(model, above(guide, k), x, 4, seed=5).elbo)


def test_above_nothing_it_is_the_elbo():
    model, guide = pair("biva of 3 layers")
    x = images_for("biva of 3 layers")
    own = log_likelihood(model, guide, x, SAMPLES, seed=5).elbo
    found = bounds(model, guide, x, [0], seed=5)[0]
    assert_equal_up_to_rounding(found, own, operations=operations(model, guide) + x[0].numel() + SAMPLES)


def test_bounds_do_not_depend_on_batches_of_samples_and_count_images():
    model, guide = pair("biva of 2 layers")
    x = images_for("biva of 2 layers", 5)
    done = []
    whole = bounds(model, guide, x, samples=4, seed=1, progress=done.append, batch_size=3)
    parts = bounds(model, guide, x, samples=4, seed=1, chunk=1, batch_size=3)
    assert set(whole) == {0, 1}
    for k in whole:
        torch.testing.assert_close(parts[k], whole[k], rtol=0, atol=1e-9)
    assert done == [3, 2, 3, 2]


def test_a_bound_is_below_the_evidence_and_falls_with_k():
    model = LinearGaussian([1, 1, 1])
    x = model.images()
    found = bounds(model, TopDown(model, NONE), x, range(4), samples=500, seed=0)
    torch.testing.assert_close(found[0], model.log_evidence(x))
    means = [found[k].mean() for k in range(4)]
    assert means == sorted(means, reverse=True)


def test_ratios_are_differences():
    found = {0: torch.tensor([1.0, 2.0]), 1: torch.tensor([0.5, 2.5]), 3: torch.zeros(2)}
    ratios = llr(found)
    assert {k: r.tolist() for k, r in ratios.items()} == {1: [0.5, -0.5], 3: [1.0, 2.0]}
    named = scores(found)
    assert list(named) == ["L>0", "L>1", "LLR>1", "L>3", "LLR>3"]
    assert torch.equal(named["L>1"], -found[1])
    assert list(scores({2: torch.zeros(2)})) == ["L>2"]
    with pytest.raises(UsageError, match=r"k = 0, among the bounds; got k = \[1\]"):
        llr({1: found[1]})


class PriorGuide(TopDown):
    """q = p: every site is answered by its prior."""

    def posterior(self, name, prior, h, features):
        return prior


def test_ratios_are_zero_in_mean_where_the_guide_is_the_prior():
    model = two_layers(noise=1.5)
    x = model.images()
    guide = PriorGuide(model)
    elbo, above_1, above_2 = (log_weights(model, above(guide, k), x, 2000, seed=k) for k in range(3))
    assert (standard_errors(elbo - above_1, 0.0).abs() < 4.5).all()
    assert (standard_errors(elbo - above_2, 0.0).abs() < 4.5).all()
    ratios = llr(bounds(model, guide, x, (0, 1, 2), seed=0))  # of the same noise
    assert all((ratio == 0).all() for ratio in ratios.values())


def test_ratios_are_positive_in_mean_where_the_guide_is_exact():
    """LLR^{>k} = KL(p(z_<=k | z_>k) q(z_>k | x) || p(z | x)) then."""
    model = two_layers()
    x = model.images()
    found = llr(bounds(model, TopDown(model, NONE), x, samples=2000, seed=0))
    assert (found[1] > 0).all()


class Shifted(LinearGaussian):
    """Images of the same model, far away."""

    def images(self, n=4, shift=0.0):
        with torch.no_grad():
            return seeded(self, n=n, seed=n) + shift


def test_a_cluster_apart_is_more_anomalous():
    """Two clusters: the model's own images, and the same moved away; every score tells them apart."""
    model = Shifted([1, 1])
    guide = TopDown(model, Error(width=1.1))
    report = compare(model, guide, model.images(60), model.images(50, shift=12.0), samples=20, seed=0)
    assert [d.score for d in report.detections] == ["L>0", "L>1", "LLR>1"]
    for detection in report.detections:
        assert detection.anomalous > detection.normal
        assert detection.auroc > 0.85, detection
    same = compare(model, guide, model.images(60), model.images(61), samples=20, seed=0)
    assert all(0.3 < d.auroc < 0.7 for d in same.detections)


def test_a_report_tells_its_figures():
    model = two_layers()
    x = model.images(6)
    names = ("ours", "theirs")
    report = compare(model, TopDown(model, WRONG), x, x + 1, [0, 1], names=names, samples=3, seed=0)
    first, columns, *rows = report.table().splitlines()
    assert first == "normal ours (6 images), anomalous theirs (6); 3 samples a bound"
    assert columns.split()[:4] == ["score", "AUROC", "AUPRC", "FPR80"]
    for row, detection in zip(rows, report.detections, strict=True):
        assert row.split()[0] == detection.score
        assert float(row.split()[1]) == pytest.approx(detection.auroc, abs=6e-4)
        assert detection.fpr80 == fpr_at(report.normal[detection.score], report.anomalous[detection.score])
        assert detection.auprc == auprc(report.normal[detection.score], report.anomalous[detection.score])
    summary = report.summary()
    assert summary["anomaly"][0]["auroc"] == report.detections[0].auroc
    assert (summary["normal"], summary["anomalous"], summary["samples"]) == (*names, 3)
    assert report.plots().shape[0] == len(rows)


@pytest.mark.parametrize(
    ("name", "ks", "said"),
    [
        ("biva of 2 layers", [3], r"from 0 to 2, as many as the model has; got \[3\]"),
        ("biva of 2 layers", [-1, 1], r"got \[-1, 1\]"),
        ("biva of 2 layers", [], r"got \[\]"),
        ("density", None, "no layers of latent variables"),
        ("pixelcnn", [0], "no layers of latent variables"),
    ],
)
def test_layers_that_there_are_not(name, ks, said):
    model, guide = pair(name)
    with pytest.raises(UsageError, match=said):
        bounds(model, guide, images_for(name), ks)


def test_layers_by_default_are_all_but_the_prior_alone():
    assert chosen_layers(*pair("biva of 3 layers"), images_for("biva of 3 layers")) == [0, 1, 2]
    assert chosen_layers(*pair("vae"), images_for("vae")) == [0]


def test_samples_that_there_are_not():
    with pytest.raises(UsageError, match="k >= 1; got 0"):
        bounds(*pair("vae"), images_for("vae"), samples=0)
