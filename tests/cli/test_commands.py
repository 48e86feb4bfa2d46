"""What the commands do when they are used as they should be."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import zoo as library
from tests.training.runs import metrics, same, state
from zoo.cli import main as cli
from zoo.experiments import names

FIGURES = {
    *("elbo", "log_likelihood", "log_likelihood_stderr", "bits_per_dim"),
    *("samples", "images", "ess", "pareto_k"),
}


def command(*arguments, **options):
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "zoo", *arguments], capture_output=True, text=True, **options
    )


# list and help


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["train", "--help"], ["evaluate", "--help"]])
def test_list_and_help_answer_without_pytorch(arguments):
    code = f"import sys; from zoo.cli.main import main; sys.exit(main({arguments}) or 'torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout


def test_list_names_every_experiment(zoo, tmp_path):
    outcome = zoo("list", "--json", tmp_path / "new" / "experiments.json")
    written = json.loads((tmp_path / "new" / "experiments.json").read_text())
    assert [line.split()[0] for line in outcome.out.splitlines()] == [e["name"] for e in written]
    assert all({"name", "summary", "image_shape", "options"} <= set(e) for e in written)
    assert zoo("list", "--json", tmp_path / "new" / "experiments.json").code == 0  # ours: replaced


def test_list_takes_any_case_and_offers_a_wider_pattern(zoo):
    assert [line.split()[0] for line in zoo("list", "NICE_*").out.splitlines()] == names("nice_*")
    assert zoo("list", "nice").err == "zoo: no experiment is called 'nice'; did you mean 'nice*'?\n"
    assert zoo("list", "aaa").err == "zoo: no experiment is called 'aaa'; zoo list has them all\n"


def test_help_shows_what_can_be_given_for_a_part_within_the_width_of_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    with pytest.raises(SystemExit):
        cli.main(["train", "vae_digits", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 70
    text = " ".join(" ".join(lines).split())
    assert "makes p(z) from the shape of z. {AR1Prior, LearnedNormal," in text
    assert "{adamax, adam, adamw}" in text


def test_a_closed_pipe_is_no_traceback():
    code = "import sys\nfrom zoo.cli.main import main\nsys.stdin.read()\nsys.exit(main(['list']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141
    process.stderr.close()


def test_warnings_are_a_line():
    before = warnings.formatwarning
    with cli._short_warnings():
        line = warnings.formatwarning(UserWarning("of two\nlines"), UserWarning, "file.py", 3)
    assert line == "zoo: warning: of two lines\n"
    assert warnings.formatwarning is before


def test_the_command_is_installed_as_a_module():
    assert command("frobnicate").stderr.count("\n") == 1
    assert command("list").stdout.startswith("adgm_digits")


# train


def test_a_run_folder_holds_everything(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["experiment"] == "vae_digits"
    assert config["seed"] == 3
    assert config["image_shape"] == [1, 8, 8]
    assert config["options"]["latent"] == 3
    assert (trained / "checkpoints" / "last.pt").is_file()
    pictures = {path.name for path in (trained / "pictures").iterdir()}
    assert pictures == {"samples.png", "reconstructions.png", "kl.png"}


def test_metrics_are_a_line_a_step(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if "train/loss" in line]
    assert [line["step"] for line in training] == list(range(1, 29))  # two epochs of 14 batches
    keys = {"loss", "elbo", "log_likelihood", "kl", "kl/z", "gradient_norm", "learning_rate"}
    speeds = {"images_per_second", "images_per_second_of_cpu"}
    assert {f"train/{key}" for key in (*keys, *speeds)} == set(training[0]) - {"step", "crc32"}
    assert [line["step"] for line in lines if "validation/elbo" in line] == [28]
    assert [line["step"] for line in lines if "test/log_likelihood" in line] == [28]


def test_tensorboard_shows_curves_pictures_histograms_and_settings(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained), size_guidance={"images": 0})
    events.Reload()
    tags = events.Tags()
    for name in ("loss", "elbo", "kl/z", "gradient_norm", "images_per_second", "learning_rate"):
        assert [e.step for e in events.Scalars(f"train/{name}")] == list(range(1, 29))
    assert {"validation/elbo", "test/elbo", "test/log_likelihood", "test/bits_per_dim"} <= set(
        tags["scalars"]
    )
    final = {"test/samples", "test/reconstructions"}  # of a run shorter than an epoch as well
    assert set(tags["images"]) == {"samples", "reconstructions"} | final
    assert [e.step for e in events.Images("samples")] == [28]
    assert any("encoder" in tag or "guide" in tag for tag in tags["histograms"])
    assert any(tag.startswith("_hparams_") for tag in events.summary_metadata)


def test_every_layer_has_a_curve(zoo, tmp_path):
    sizes = ("latents=3,2", "strides=2,2", "kernels=3,3", "filters=4", "blocks=1", "log_every=1")
    outcome = zoo(
        *("train", "biva_digits", "--out", tmp_path / "run", "--steps", 2, "--samples", 2, "--images", 5),
        *(part for size in sizes for part in ("--set", size)),
    )
    assert outcome.code == 0, outcome.err
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    layers = [key for key in first if key.startswith("train/kl/")]
    assert len(layers) == 3  # z1's bottom-up and top-down variables and z2
    assert sum(first[key] for key in layers) == pytest.approx(first["train/kl"], rel=1e-4)


def test_options_of_every_type_are_set(train, tmp_path):
    options = {
        "strides": "(2,2)",
        "clip": "5",
        "save_every": "none",
        "validation": "50",
        "warmup": "3",
        "free_bits": "0.1",
        "learning_rate": "1e-3",
        "learning_rate_decay": "0.99",
        "optimizer": "adam",
        "histograms": "yes",
        "binarize": "static",
        "num_particles": "2",
    }
    outcome = train(tmp_path / "run", *(part for kv in options.items() for part in ("--set", "=".join(kv))))
    assert outcome.code == 0, outcome.err
    written = json.loads((tmp_path / "run" / "config.json").read_text())["options"]
    assert [written[key] for key in options] == [
        *([2, 2], 5.0, None, 50, 3, 0.1, 1e-3, 0.99, "adam", True, "static", 2),
    ]


def test_importance_weighted_training(train, tmp_path):
    assert train(tmp_path / "run", "--set", "objective=ImportanceWeighted", "--set", "k=4").code == 0
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["train/loss"] == pytest.approx(-first["train/bound"])


def test_a_seed_reproduces_a_run_and_another_does_not(train, tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    for run, seed in ((a, 7), (b, 7), (c, 8)):
        torch.manual_seed(hash(run.name))  # what was drawn before does not matter
        assert train(run, "--seed", seed, "--set", "ema=0.9").code == 0
    assert metrics(a) == metrics(b)
    assert same(state(a), state(b))
    assert metrics(a)[0]["train/loss"] != metrics(c)[0]["train/loss"]


def test_the_way_a_run_is_logged_does_not_change_it(train, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    assert train(a, "--steps", 30).code == 0
    changes = ("log_every=7", "save_every=3", "histograms=true")
    assert train(b, "--steps", 30, *(part for c in changes for part in ("--set", c))).code == 0
    assert same(state(a), state(b))


# evaluate, sample, reconstruct


def test_evaluation_repeats_itself(zoo, trained, tmp_path):
    arguments = ("evaluate", trained, "--samples", 30, "--images", 40, "--json")
    first, second = zoo(*arguments, tmp_path / "a.json"), zoo(*arguments, tmp_path / "b.json")
    assert first.code == second.code == 0
    assert first.out == second.out
    figures = json.loads((tmp_path / "a.json").read_text())
    assert figures == json.loads((tmp_path / "b.json").read_text())
    assert set(figures) >= FIGURES
    assert (figures["samples"], figures["images"]) == (30, 40)
    assert figures["elbo"] < figures["log_likelihood"] < 0
    assert figures["bits_per_dim"] == pytest.approx(-figures["log_likelihood"] / 64 / np.log(2))
    assert 1 <= figures["ess"] <= 30
    other = zoo(*arguments, tmp_path / "b.json", "--seed", 1)  # ours: replaced
    assert other.code == 0
    assert json.loads((tmp_path / "b.json").read_text())["elbo"] != figures["elbo"]


def test_chunks_do_not_change_the_figures(zoo, trained, tmp_path):
    for chunk in (3, 20):
        path = tmp_path / f"{chunk}.json"
        zoo("evaluate", trained, "--samples", 20, "--images", 10, "--chunk", chunk, "--json", path)
    a, b = (json.loads((tmp_path / f"{chunk}.json").read_text()) for chunk in (3, 20))
    assert a["log_likelihood"] == pytest.approx(b["log_likelihood"], abs=1e-4)


def test_figures_of_one_image_and_one_sample_are_json(zoo, trained, tmp_path):
    path = tmp_path / "f.json"
    path.touch()  # empty: nothing is lost
    outcome = zoo("evaluate", trained, "--samples", 1, "--images", 1, "--json", path)
    assert outcome.code == 0, outcome.err
    figures = json.loads(path.read_text())
    assert figures["log_likelihood_stderr"] is None
    assert figures["pareto_k"] is None
    assert "nan" not in outcome.out
    assert "+-" not in outcome.out  # neither images nor samples have a spread
    assert f"{figures['log_likelihood']:.3f} nats (1 image)" in outcome.out
    two = zoo("evaluate", trained, "--samples", 2, "--images", 1).out
    assert two.count("+-") == two.count(" from sampling)") == 1


def test_figures_go_to_standard_output_and_lines_to_standard_error(zoo, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("evaluate", trained, "--samples", 2, "--images", 3)
    outcome = zoo(*arguments, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["images"] == 3
    assert zoo(*arguments).out in outcome.err
    listed = zoo("list", "vae_digits", "--json", "-")
    assert [entry["name"] for entry in json.loads(listed.out)] == ["vae_digits"]
    assert listed.err.startswith("vae_digits")
    assert list(tmp_path.iterdir()) == []


def test_the_validation_split_has_its_own_figures(zoo, trained):
    arguments = ("evaluate", trained, "--samples", 2, "--images", 30)
    assert zoo(*arguments, "--split", "validation").out != zoo(*arguments).out


def test_python_gets_the_figures_of_the_command_line(zoo, trained, tmp_path):
    zoo("evaluate", trained, "--samples", 5, "--images", 20, "--json", tmp_path / "f.json")
    system = library.load(trained)
    data = library.load_data("digits").binarized(0)
    x = system.encoding(data.test[:20], data.levels)
    result = library.log_likelihood(system.model, system.guide, x, 5, seed=0)
    written = json.loads((tmp_path / "f.json").read_text())
    assert "dynamic binarisation" in written.pop("protocol")
    assert result.summary() == pytest.approx(written, nan_ok=True)


def test_sample_writes_a_picture(zoo, trained, tmp_path):
    for name, more in {"a": (), "b": (), "c": ("--seed", 1), "d": ("--temperature", 0.5)}.items():
        outcome = zoo("sample", trained, "-n", 9, "--out", tmp_path / "new" / f"{name}.png", *more)
        assert (outcome.code, outcome.err) == (0, "")
        assert str(tmp_path / "new" / f"{name}.png") in outcome.out
    a, b, c, d = ((tmp_path / "new" / f"{name}.png").read_bytes() for name in "abcd")
    assert a == b
    assert len({a, c, d}) == 3
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.mode == "RGB"
        assert min(picture.size) >= 3 * 64


def test_reconstruct_writes_images_beside_reconstructions(zoo, trained, tmp_path):
    outcome = zoo("reconstruct", trained, "-n", 3, "--out", tmp_path / "r.png")
    assert (outcome.code, outcome.err) == (0, "")
    with Image.open(tmp_path / "r.png") as picture:
        pixels = np.asarray(picture)
    assert set(np.unique(pixels[2:66, 2:66])) <= {0, 255}  # the image itself, binary
    assert len(np.unique(pixels[2:66, 68:132])) > 2  # probabilities


# data


def grey(n=30):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def colour(n=30):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)


def image_files(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")


MIXTURE = ("--set", "binarize=none", "--set", "likelihood=logistic_mixture", "--set", "components=2")
SOURCES = {  # of the formats in tests/data/test_paths.py, one of each kind of file
    "grey npz": ("x.npz", lambda path: np.savez(path, train=grey(), test=grey(12)), ()),
    "colour npy of floats": ("x.npy", lambda path: np.save(path, colour() / np.float32(255)), MIXTURE),
    "colour folder": ("x", lambda path: image_files(path, colour()), MIXTURE),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_users_own_images_are_trained_on(name, train, zoo, tmp_path):
    file, save, likelihood = SOURCES[name]
    save(tmp_path / file)
    run = tmp_path / "run"
    outcome = train(
        run, "--set", f"data={tmp_path / file}", "--set", "validation=5", *likelihood, "--images", 2
    )
    assert outcome.code == 0, outcome.err
    assert zoo("evaluate", run, "--samples", 2).code == 0
    assert zoo("sample", run, "-n", 4, "--temperature", 0.7, "--out", tmp_path / "s.png").code == 0
    assert zoo("reconstruct", run, "--out", tmp_path / "r.png").code == 0  # of as many as there are


@pytest.mark.parametrize("binarize", ["static", "threshold"])
def test_digits_in_black_and_white(binarize, train, zoo, tmp_path):
    assert train(tmp_path / "run", "--set", f"binarize={binarize}").code == 0
    assert zoo("evaluate", tmp_path / "run", "--samples", 2, "--images", 5).code == 0


def test_digits_in_grey(train, zoo, tmp_path):
    outcome = train(tmp_path / "run", *MIXTURE, "--set", "levels=17")
    assert outcome.code == 0, outcome.err
    assert zoo("sample", tmp_path / "run", "-n", 4, "--out", tmp_path / "s.png").code == 0


def test_other_images_than_those_trained_on_are_refused(train, zoo, tmp_path):
    np.save(tmp_path / "x.npy", grey())
    assert train(tmp_path / "run", "--set", f"data={tmp_path / 'x.npy'}", "--images", 2).code == 0
    np.save(tmp_path / "x.npy", grey()[:, :6])
    outcome = zoo("evaluate", tmp_path / "run")
    assert outcome.code == 3
    assert outcome.err.count("\n") == 1
    assert "(1, 8, 8)" in outcome.err
    assert "(1, 6, 8)" in outcome.err


# Python


def test_a_run_is_made_trained_shown_and_finetuned_in_python(tmp_path):
    small = {"latent": 2, "channels": 4, "steps": 2, "batch_size": 700, "prior": library.VampPrior}
    run = library.Run.create("vae_digits", tmp_path / "run", changes=small, seed=3, data_root=tmp_path)
    assert (run.train().step, run.experiment.option("prior")) == (2, "VampPrior")
    assert repr(run) == f"Run('vae_digits', '{tmp_path / 'run'}')"
    assert str(run.evaluate(2, images=3)).startswith("test ELBO")
    further = run.finetune(tmp_path / "further")
    assert (further.seed, further.data_root) == (3, tmp_path)
    assert further.train().step == 3


def test_what_is_in_the_way_is_found_before_images_are_read(trained, tmp_path):
    run = library.Run.create("vae_mnist", trained, data_root=tmp_path)
    with pytest.raises(library.errors.UsageError, match="expected a new or empty folder"):
        run.train()


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [(None, None, "unknown experiment None"), ("vae_digits", 8, "three positive integers; got")],
)
def test_a_wrong_type_is_explained(name, shape, said):
    with pytest.raises(library.errors.UsageError, match=said):
        library.build(name, shape)


def test_the_version_is_there():
    assert library.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="nope"):
        _ = library.nope


def test_build_takes_options_and_an_image_shape():
    system = library.build("vae_digits", image_shape=(3, 16, 16), latent=5, strides=(2, 2))
    assert system.image_shape == (3, 16, 16)
    assert library.sample(system.model, 2).shape == (2, 3, 16, 16)
    with pytest.raises(library.errors.UsageError, match="did you mean latent"):
        library.build("vae_digits", latnt=5)
    for shape in ((1, 8), (1, 8, -8), (1.0, 8, 8)):
        with pytest.raises(library.errors.UsageError, match="image_shape"):
            library.build("vae_digits", image_shape=shape)
