"""What one watches: the validation ELBO, active units, pictures of every layer, the chart of the KL."""

import re
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

import zoo
from zoo.infer.objectives import monte_carlo
from zoo.runs.monitor import CHARTS, Monitor, mean_elbo, save_kl_chart
from zoo.training.logger import NullLogger
from zoo.training.run_folder import RunFolder
from zoo.training.state import seed_noise

MANY = 10**6  # images an epoch, beside which every look is cheap


class Book(NullLogger):
    """Remembers what is logged."""

    def __init__(self):
        super().__init__()
        self.figures, self.shown = {}, {}

    def scalars(self, step, values):
        self.figures |= values

    def images(self, step, images):
        self.shown |= images


def trainer_of(system, step=10, batches=10, total=1000):
    offers = []
    trainer = SimpleNamespace(
        **{
            "evaluated": system.loss(),
            "step": step,
            "batches": range(batches),
            "total_steps": total,
            "device": torch.device("cpu"),
        },
        **{"logger": Book(), "offer": offers.append, "offers": offers},
    )
    return trainer


@pytest.fixture(scope="module")
def biva():
    torch.manual_seed(0)
    sizes = {"latents": (4, 3, 2), "filters": 4, "blocks": 1}
    return zoo.build("biva_digits", **sizes)


@pytest.fixture(scope="module")
def x():
    torch.manual_seed(1)
    return torch.rand(40, 1, 8, 8).round()


def test_the_elbo_of_one_state_is_the_same_at_every_time(biva, x):
    monitor, trainer = Monitor(biva, x, None, epochs=1, images=MANY), trainer_of(biva)
    for step in (10, 20):
        torch.manual_seed(step)
        trainer.step = step
        monitor(trainer)
    assert trainer.offers[0] == trainer.offers[1]
    assert trainer.offers[0] == trainer.logger.figures["validation/elbo"]


def test_the_elbo_is_the_mean_over_images_without_free_bits(biva, x):
    free = zoo.ELBO(free_bits=100.0)(biva.model, biva.guide).train()
    elbo = mean_elbo(free, x, batch_size=30)  # 30 and 10 images
    loss, by_hand = zoo.ELBO()(biva.model, biva.guide).eval(), []
    with torch.no_grad():
        for number, part in enumerate(x.split(30)):
            seed_noise(x.device, "validation", number)
            by_hand.append(loss.terms(part).elbo()[0])
    assert elbo == pytest.approx(torch.cat(by_hand).mean().item(), rel=1e-6)
    assert free.training


def test_the_elbo_is_logged_whichever_bound_is_trained(biva, x):
    """And it chooses the best epoch."""
    figures = []
    for objective in (zoo.ELBO(20, kl=monte_carlo), zoo.ImportanceWeighted(20)):
        trainer = trainer_of(biva)
        trainer.evaluated = objective(biva.model, biva.guide).train()
        Monitor(biva, x, None, epochs=1, images=MANY)(trainer)
        assert trainer.offers == [trainer.logger.figures["validation/elbo"]]
        figures += trainer.offers
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)


def looks(monitor, system, epochs):
    """The epochs with an ELBO, and those with units and pictures."""
    seen = ([], [])
    for epoch in range(1, epochs + 1):
        trainer = trainer_of(system, step=10 * epoch, total=10 * epochs)
        monitor(trainer)
        if "validation/elbo" in trainer.logger.figures:
            seen[0].append(epoch)
        if trainer.logger.shown:
            seen[1].append(epoch)
            assert "validation/active_units/z_3" in trainer.logger.figures
    return seen


def test_units_and_pictures_come_five_times_a_run_and_at_its_end(biva, x):
    monitor = Monitor(biva, x[:4], None, epochs=11, images=MANY)
    assert looks(monitor, biva, 11) == (list(range(1, 12)), [2, 4, 6, 8, 10, 11])


def test_looking_takes_a_small_share_of_the_training(biva, x):
    """Of an epoch's 30 images, 4 to be validated: at most 0.02 of 90 passes an epoch."""
    monitor = Monitor(biva, x[:4], None, epochs=7, images=30)
    assert looks(monitor, biva, 7) == ([3, 6, 7], [7])


def test_a_run_that_goes_by_the_elbo_has_that_of_every_epoch(biva, x):
    monitor = Monitor(biva, x[:4], None, epochs=3, images=30, decides=True)
    assert looks(monitor, biva, 3) == ([1, 2, 3], [3])


def test_every_layer_of_a_hierarchy_is_watched(biva, x):
    trainer = trainer_of(biva)
    Monitor(biva, x, None, epochs=1, images=MANY)(trainer)
    units = {tag.rpartition("/")[2] for tag in trainer.logger.figures if "active_units" in tag}
    assert units == {"z_3", "z_2_bu", "z_2_td", "z_1_bu", "z_1_td"}
    shown = trainer.logger.shown
    assert set(shown) == {"samples", "reconstructions", "resampled/below_1", "resampled/below_2"}
    assert shown["resampled/below_1"].shape == (64, 1, 8, 8)
    assert torch.equal(shown["resampled/below_2"][::2], x[:32])  # the images themselves in turn


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("vae_digits", {"channels": 2, "latent": 2}), ("pixelcnn_digits", {"channels": 4})],
)
def test_models_of_one_layer_or_none_have_nothing_to_resample(name, sizes, x):
    system = zoo.build(name, **sizes)
    trainer = trainer_of(system)
    Monitor(system, x[:4], None, epochs=1, images=MANY)(trainer)
    assert set(trainer.logger.shown) == {"samples", "reconstructions"}


def test_without_validation_images_there_are_samples_alone(biva):
    trainer = trainer_of(biva)
    Monitor(biva, torch.zeros(0, 1, 8, 8), None, epochs=1, images=MANY)(trainer)
    assert trainer.logger.figures == {}
    assert set(trainer.logger.shown) == {"samples"}
    assert trainer.offers == []


def test_the_kl_of_every_latent_is_drawn_over_the_steps(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    for step in range(1, 20):
        nats = {"train/kl/z_1": 5.0 + step, "train/kl/z_2": None if step == 3 else 2.0, "train/loss": 80.0}
        run.append_metrics({"step": step, **nats})
    path = save_kl_chart(run)
    assert path == run.pictures / "kl.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) >= 480
        colours = picture.convert("RGB").getcolors(1 << 20)
    inked = [count for count, (r, g, b) in colours if max(r, g, b) - min(r, g, b) > 60]
    assert sorted(inked)[-2] > 500  # two lines in colours of their own


def test_a_model_without_latents_has_no_chart(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    run.append_metrics({"step": 1, "train/loss": 3.0})
    assert save_kl_chart(run) is None


def test_the_charts_name_tags_that_a_run_logs():
    patterns = [tag for charts in CHARTS.values() for tags in charts.values() for tag in tags]
    for tag in ("train/kl/z_1_bu", "train/kl/z", "train/elbo", "validation/active_units/z_2"):
        assert any(re.fullmatch(pattern, tag) for pattern in patterns)
    assert not any(re.fullmatch(pattern, "train/kl") for pattern in patterns)
