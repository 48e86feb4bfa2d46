"""A mistake of the user's: one line on stderr, the right exit code, and not a file touched."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.data import load_data
from zoo.training.stamps import unstamped

USAGE, DATA, CHECKPOINT, NOT_FINITE = 2, 3, 4, 5

# Command, exit code, what the line must say. {place} is a folder of things that are wrong.
TRAIN = "train vae_digits --out {place}/new "
NO_FIGURES = "not a file of figures"
MISTAKES = {
    # commands and names
    "no command": ("", USAGE, "COMMAND"),
    "unknown command": ("trian vae_digits", USAGE, "train"),
    "unknown flag": (TRAIN + "--batchsize 3", USAGE, "did you mean --batch-size? (see zoo train --help)"),
    "no experiment": ("train", USAGE, "experiment"),
    "unknown experiment": ("train vae_digit --out {place}/new", USAGE, "did you mean vae_digits"),
    "nothing like it": ("train qqq --out {place}/new", USAGE, "zoo list has them all"),
    "a path as experiment": ("train ../vae_digits --out {place}/new", USAGE, "unknown experiment"),
    "unknown option": (TRAIN + "--set latnt=3", USAGE, "did you mean latent"),
    "an option of another": (TRAIN + "--set filters=3", USAGE, "unknown option 'filters'"),
    "a fixed field": (TRAIN + "--set paper=1", USAGE, "unknown option 'paper'"),
    "no value": (TRAIN + "--set latent", USAGE, "expected KEY=VALUE"),
    "no key": (TRAIN + "--set =3", USAGE, "expected KEY=VALUE"),
    # types
    "text for an integer": (TRAIN + "--set latent=ten", USAGE, "latent to be an integer; got 'ten'"),
    "a fraction for an integer": (TRAIN + "--set latent=2.5", USAGE, "an integer"),
    "empty integer": (TRAIN + "--set latent=", USAGE, "an integer"),
    "text for a number": (TRAIN + "--set ema=big", USAGE, "ema to be a finite number"),
    "text for a truth": (TRAIN + "--set histograms=maybe", USAGE, "true or false"),
    "unknown choice": (TRAIN + "--set optimizer=sgd", USAGE, "one of adamax, adam"),
    "unknown binarisation": (TRAIN + "--set binarize=yes", USAGE, "one of dynamic, static"),
    "text in a list": (TRAIN + "--set strides=2,x", USAGE, "a list, comma between, each an integer"),
    "epochs as text": (TRAIN + "--epochs many", USAGE, "epochs to be an integer"),
    "samples as text": ("evaluate {run} --samples many", USAGE, "expected an integer; got 'many'"),
    "seed as text": (TRAIN + "--seed x", USAGE, "--seed"),
    "both epochs and steps": (TRAIN + "--epochs 2 --steps 3", USAGE, "expected epochs or steps"),
    "both epochs and steps by --set": (TRAIN + "--epochs 2 --set steps=3", USAGE, "expected epochs or steps"),
    "no place": (TRAIN + "--out=", USAGE, "--out: expected a path"),
    "no place of figures": ("evaluate {run} --json=", USAGE, "--json: expected a path"),
    # ranges
    "free bits beyond float32": (TRAIN + "--set free_bits=1e308", USAGE, "free_bits to be a finite number"),
    "samples of 26 digits": ("sample {run} -n 99999999999999999999999999", USAGE, "below 2^63"),
    "images of 26 digits": ("evaluate {run} --images 99999999999999999999999999", USAGE, "below 2^63"),
    "epochs 0": (TRAIN + "--epochs 0", USAGE, "epochs >= 1; got 0"),
    "steps -1": (TRAIN + "--steps -1", USAGE, "steps >= 1; got -1"),
    "batch size 0": (TRAIN + "--batch-size 0", USAGE, "batch_size >= 1; got 0"),
    "negative seed": (TRAIN + "--seed -1", USAGE, "seed"),
    "huge seed": (TRAIN + "--seed 99999999999999999999", USAGE, "seed"),
    "learning rate 0": (TRAIN + "--set learning_rate=0", USAGE, "learning_rate > 0"),
    "learning rate nan": (TRAIN + "--set learning_rate=nan", USAGE, "learning_rate to be a finite number"),
    "learning rate inf": (TRAIN + "--set learning_rate=inf", USAGE, "learning_rate to be a finite number"),
    "floor above the rate": (TRAIN + "--set learning_rate_floor=1", USAGE, "learning_rate_floor"),
    "floor nan": (
        TRAIN + "--set learning_rate_floor=nan",
        USAGE,
        "learning_rate_floor to be a finite number",
    ),
    "decay 0": (TRAIN + "--set learning_rate_decay=0", USAGE, "learning_rate_decay"),
    "ema 1": (TRAIN + "--set ema=1", USAGE, "0 <= ema < 1"),
    "ema nan": (TRAIN + "--set ema=nan", USAGE, "ema to be a finite number"),
    "clip 0": (TRAIN + "--set clip=0", USAGE, "clip > 0"),
    "latent of 26 digits": (TRAIN + "--set latent=99999999999999999999999999", USAGE, "latent < 2^63"),
    "a gap in a list": (TRAIN + "--set strides=2,,2", USAGE, "strides to be a list"),
    "latent 0": (TRAIN + "--set latent=0", USAGE, "latent >= 1"),
    "no strides": (TRAIN + "--set strides=", USAGE, "strides"),
    "stride 0": (TRAIN + "--set strides=2,0", USAGE, "strides >= 1"),
    "free bits nan": (TRAIN + "--set free_bits=nan", USAGE, "free_bits to be a finite number"),
    "particles 0": (TRAIN + "--set num_particles=0", USAGE, "num_particles >= 1"),
    "importance samples 0": (
        TRAIN + "--set objective=ImportanceWeighted --set k=0",
        USAGE,
        "k >= 1",
    ),
    "samples of another objective": (TRAIN + "--set k=5", USAGE, "or objective=ImportanceWeighted"),
    "an unknown objective": (TRAIN + "--set objective=EBLO", USAGE, "did you mean ELBO"),
    "an unknown part": (TRAIN + "--set prior=StandardNorml", USAGE, "did you mean StandardNormal"),
    "a part of another kind": (TRAIN + "--set prior=ELBO", USAGE, "unknown prior 'ELBO'; known are AR1Prior"),
    "what is made of other things": (TRAIN + "--set posterior=WithEncoder", USAGE, "unknown posterior"),
    "what an objective is made of": (TRAIN + "--set objective=ELBOLoss", USAGE, "did you mean ELBO?"),
    "labels of no model": (TRAIN + "--set objective=SemiSupervised", USAGE, "a model with a label"),
    "a capacity without latents": (
        "train pixelcnn_digits --out {place}/new --set objective=CapacityELBO",
        USAGE,
        "CapacityELBO is for a guide that is learned",
    ),
    "a sequence of a vector": (TRAIN + "--set posterior=SequenceHead", USAGE, "shape (D, T); got 16"),
    "lists of two lengths": (
        "train biva_digits --out {place}/new --set latents=4,4",
        USAGE,
        "one entry or one per layer",
    ),
    "even kernels": ("train biva_digits --out {place}/new --set kernels=2,2,2", USAGE, "odd kernels"),
    "one layer": (
        "train biva_digits --out {place}/new --set latents=4 --set strides=1 --set kernels=3",
        USAGE,
        "at least two stages",
    ),
    "dropout 1": ("train biva_digits --out {place}/new --set dropout_q=1", USAGE, "dropout_q"),
    "final samples 0": (TRAIN + "--samples 0", USAGE, "samples"),
    "final images 0": (TRAIN + "--images 0", USAGE, "images"),
    "final images too many": (TRAIN + "--images 298", USAGE, "1 to 297 images"),
    "samples 0": ("evaluate {run} --samples 0", USAGE, "samples"),
    "chunk 0": ("evaluate {run} --chunk 0", USAGE, "chunk"),
    "images 0": ("evaluate {run} --images 0", USAGE, "images"),
    "images too many": ("evaluate {run} --images 298", USAGE, "1 to 297 images"),
    "no samples": ("sample {run} -n 0 --out {place}/new.png", USAGE, "-n: expected an integer >= 1"),
    "temperature 0": ("sample {run} --temperature 0 --out {place}/new.png", USAGE, "temperature in"),
    "temperature -1": ("sample {run} --temperature -1 --out {place}/new.png", USAGE, "temperature in"),
    "temperature 1e-300": (
        "sample {run} --temperature 1e-300 --out {place}/new.png",
        USAGE,
        "temperature in",
    ),
    "temperature nan": ("sample {run} --temperature nan --out {place}/new.png", USAGE, "temperature in"),
    "temperature inf": ("sample {run} --temperature inf --out {place}/new.png", USAGE, "temperature in"),
    "no reconstructions": (
        "reconstruct {run} -n 0 --out {place}/new.png",
        USAGE,
        "-n: expected an integer >= 1",
    ),
    "reconstructions too many": (
        "reconstruct {run} -n 298 --out {place}/new.png",
        USAGE,
        "1 to 297 images, all of the test set; got 298",
    ),
    # devices
    "no such device": (TRAIN + "--device foo", USAGE, "no device 'foo'"),
    "empty device": (TRAIN + "--device= ", USAGE, "no device"),
    "a device without numbers": (TRAIN + "--device meta", USAGE, "no device 'meta'"),
    "no such device to sample": ("sample {run} --device foo --out {place}/new.png", USAGE, "no device 'foo'"),
    # what a machine cannot hold, or a path cannot be
    "no memory for the model": (TRAIN + "--set latent=1000000000000000", 1, "out of memory"),
    "a picture of a billion": ("sample {run} -n 1000000000 --out {place}/new.png", USAGE, "at most 10,000"),
    "weights that are not there": ("evaluate {place}/w.safetensors", USAGE, "expected a run"),
    "a run of a long name": ("evaluate {place}/" + "o" * 300, USAGE, "File name too long"),
    "a new run of a long name": ("train vae_digits --out {place}/" + "o" * 300, USAGE, "File name too long"),
    "data of a long name": (TRAIN + "--set data={place}/" + "o" * 300, USAGE, "File name too long"),
    "figures of a long name": ("list --json {place}/" + "o" * 300, USAGE, "File name too long"),
    # likelihoods that do not fit
    "a mixture of bits": (TRAIN + "--set likelihood=logistic_mixture", USAGE, "binarize=none"),
    "even kernel": ("train pixelcnn_digits --out {place}/new --set kernel=4", USAGE, "an odd kernel; got 4"),
    "no pixels left": (
        "train pixelcnnpp_digits --out {place}/new --set dropout=1",
        USAGE,
        "dropout < 1; got 1",
    ),
    "no dilations": (
        "train wavenet_digits --out {place}/new --set dilations=",
        USAGE,
        "dilations to be a list",
    ),
    "a pixelcnn of grey": (
        "train pixelcnn_digits --out {place}/new --set binarize=none",
        USAGE,
        "likelihood=logistic_mixture",
    ),
    "a softmax of bits": (
        "train pixelcnn_digits --out {place}/new --set likelihood=categorical",
        USAGE,
        "is for grey levels: add --set binarize=none",
    ),
    "a softmax of other levels": (
        "train row_lstm_digits --out {place}/new --set likelihood=categorical --set binarize=none",
        USAGE,
        "256: add --set levels=17",
    ),
    "colours of a pixelcnn++": (
        "train pixelcnnpp_digits --out {place}/new --set data={place}/colours --set binarize=dynamic",
        USAGE,
        "take likelihood=logistic_mixture",
    ),
    "bits of grey": (TRAIN + "--set binarize=none", USAGE, "likelihood=logistic_mixture"),
    "other levels": (
        TRAIN + "--set binarize=none --set likelihood=logistic_mixture",
        USAGE,
        "levels=17",
    ),
    "bits for a density": (
        "train nice_digits --out {place}/new --set binarize=dynamic",
        USAGE,
        "is for grey levels: add --set binarize=none",
    ),
    "a density of other levels": (
        "train nice_digits --out {place}/new --set levels=256",
        USAGE,
        "256: add --set levels=17",
    ),
    "a density of odd sides": (
        "train glow_digits --out {place}/new --set levels=256 --set data={place}/odd.npy",
        USAGE,
        "even height and width; got 7 x 8",
    ),
    # data
    "unknown data": (TRAIN + "--set data=mnits", DATA, "did you mean mnist"),
    "no data": (TRAIN + "--set data=", DATA, "expected the name of a data set"),
    "missing file": (TRAIN + "--set data={place}/nowhere.npz", DATA, "found nothing there"),
    "missing set": ("train vae_mnist --out {place}/new --data-root {place}/empty", DATA, "--download"),
    "an empty folder": (TRAIN + "--set data={place}/empty", DATA, "expected image files"),
    "text": (TRAIN + "--set data={place}/words.txt", DATA, "got another file"),
    "text called npz": (TRAIN + "--set data={place}/words.npz", DATA, "cannot be read"),
    "half an npz": (TRAIN + "--set data={place}/half.npz", DATA, "cannot be read"),
    "pickled objects": (TRAIN + "--set data={place}/objects.npy", DATA, "never unpickled"),
    "not a number": (TRAIN + "--set data={place}/nan.npy", DATA, "NaN or infinity"),
    "a flat array": (TRAIN + "--set data={place}/flat.npy", DATA, "(N, H, W)"),
    "four channels": (TRAIN + "--set data={place}/four.npy", DATA, "(N, H, W)"),
    "no images": (TRAIN + "--set data={place}/none.npy", DATA, "none of them 0"),
    "one image": (TRAIN + "--set data={place}/one.npy", DATA, "at least 2 images"),
    "negative": (TRAIN + "--set data={place}/negative.npy", DATA, "0 .. 255"),
    "splits of two shapes": (TRAIN + "--set data={place}/mixed.npz", DATA, "shape"),
    "grey and colour": (TRAIN + "--set data={place}/pictures", DATA, "one size and mode"),
    "validation leaves nothing": (TRAIN + "--set validation=1797", DATA, "below the 1500"),
    "validation negative": (TRAIN + "--set validation=-1", USAGE, "validation >= 0"),
    "no validation split": ("evaluate {place}/no_validation --split validation", USAGE, "validation"),
    # run folders
    "a run in the way": ("train vae_digits --out {run}", USAGE, "--resume"),
    "a file in the way": ("train vae_digits --out {place}/words.txt", USAGE, "got a file"),
    "a file above": ("train vae_digits --out {place}/words.txt/new", USAGE, "Not a directory"),
    "not a run": ("evaluate {place}/empty", USAGE, "config.json"),
    "a missing run": ("evaluate {place}/ghots", USAGE, "ghost?"),
    "a file as run": ("evaluate {place}/words.txt", USAGE, "got a file"),
    "resume nothing": (TRAIN + "--resume", USAGE, "expected a run"),
    "resume a file": ("train vae_digits --out {place}/words.txt --resume", USAGE, "got a file"),
    "resume another": ("train biva_digits --out {run} --resume", USAGE, "experiment was vae_digits"),
    "damaged settings": ("evaluate {place}/damaged_config", CHECKPOINT, "config.json"),
    "settings of another kind": ("evaluate {place}/list_config", CHECKPOINT, "config.json"),
    "settings that lack": ("evaluate {place}/bare_config", CHECKPOINT, "config.json"),
    "unknown experiment in settings": ("evaluate {place}/ghost", CHECKPOINT, "not known here, '"),
    "unknown option in settings": ("sample {place}/option --out {place}/new.png", CHECKPOINT, "config.json"),
    "odd value in settings": ("evaluate {place}/value", CHECKPOINT, "config.json"),
    "settings without images": ("evaluate {place}/no_images", CHECKPOINT, "config.json"),
    "resume with damaged settings": (
        "train vae_digits --out {place}/bare_config --resume",
        CHECKPOINT,
        "config.json",
    ),
    # checkpoints
    "no checkpoint": ("evaluate {place}/no_checkpoint", CHECKPOINT, "no checkpoint"),
    "truncated checkpoint": ("evaluate {place}/truncated", CHECKPOINT, "truncated"),
    "empty checkpoint": ("sample {place}/empty_checkpoint --out {place}/new.png", CHECKPOINT, "empty"),
    "flipped bit": ("reconstruct {place}/flipped --out {place}/new.png", CHECKPOINT, "damaged"),
    "hostile checkpoint": ("evaluate {place}/hostile", CHECKPOINT, "not a"),
    "hostile archive": ("evaluate {place}/hostile_archive", CHECKPOINT, "not a"),
    "hostile to resume": ("train vae_digits --out {place}/hostile_archive --resume", CHECKPOINT, "not a"),
    "another model's checkpoint": ("evaluate {place}/other_model", CHECKPOINT, "another model"),
    # runs side by side
    "one run to compare": ("compare {run}", USAGE, "expected two or more runs"),
    "a run compared with itself": ("compare {run} {run}", USAGE, "each once"),
    "no run to compare with": ("compare {run} {place}/ghots", USAGE, "ghost?"),
    "runs of other splits": (
        "compare {run} {place}/no_validation",
        USAGE,
        "validation is none there and 0 here; the fingerprint of the images is",
    ),
    "runs side by side over text": ("compare {run} {run} --json {place}/words.txt", USAGE, NO_FIGURES),
    # outputs
    "a picture in the way": ("sample {run} --out {place}/there.png", USAGE, "there.png"),
    "a picture that is no PNG": ("sample {run} --out {place}/new.jpg", USAGE, ".png"),
    "a picture below a file": ("sample {run} --out {place}/words.txt/new.png", USAGE, "words.txt"),
    "reconstructions in the way": ("reconstruct {run} --out {place}/there.png", USAGE, "there.png"),
    "figures over text": ("evaluate {run} --json {place}/words.txt", USAGE, NO_FIGURES),
    "figures over JSON": ("evaluate {run} --json {place}/mine.json", USAGE, NO_FIGURES),
    "figures over a list": ("list --json {place}/list.json", USAGE, NO_FIGURES),
    "figures below a file": ("evaluate {run} --json {place}/words.txt/f.json", USAGE, "words.txt"),
    "figures over a folder": ("list --json {place}/empty", USAGE, "empty"),
}


@pytest.fixture(scope="module")
def place(trained, tmp_path_factory):
    """A folder of things that are wrong."""
    place = tmp_path_factory.mktemp("wrong")
    (place / "empty").mkdir()
    for name in ("words.txt", "words.npz"):
        (place / name).write_text("some words of the user's\n")
    (place / "mine.json").write_text('{"weights": [1, 2]}')
    (place / "list.json").write_text("[1, 2]")
    Image.new("L", (8, 8)).save(place / "there.png")
    _data(place)
    _configurations(place, trained)
    _checkpoints(place, trained)
    return place


def _data(place):
    grey = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    arrays = {
        "nan": np.full((20, 8, 8), np.nan, np.float32),
        "flat": grey.reshape(20, 64),
        "four": np.repeat(grey[..., None], 4, -1),
        "none": grey[:0],
        "one": grey[:1],
        "odd": grey[:, :7],
        "negative": grey.astype(int) - 5,
    }
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    np.save(place / "objects.npy", np.array([Hostile(place / "pwned")], dtype=object), allow_pickle=True)
    np.savez(place / "mixed.npz", train=grey, test=grey[:, :4])
    np.savez(place / "whole.npz", train=grey)
    (place / "half.npz").write_bytes((place / "whole.npz").read_bytes()[:300])
    (place / "pictures").mkdir()
    Image.new("L", (8, 8)).save(place / "pictures" / "a.png")
    Image.new("RGB", (8, 8)).save(place / "pictures" / "b.png")
    (place / "colours").mkdir()
    for i in range(20):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(place / "colours" / f"{i}.png")


def _configurations(place, trained):
    config, _ = unstamped(json.loads((trained / "config.json").read_text()))
    options = config["options"]
    other = {"fingerprint": load_data("digits", validation=0).fingerprint}
    for name, text in {
        "damaged_config": json.dumps(config)[:100],
        "list_config": "[1, 2]",
        "bare_config": '{"format": 1}',
        "ghost": json.dumps(config | {"experiment": "ghost"}),
        "option": json.dumps(config | {"options": options | {"widht": 3}}),
        "value": json.dumps(config | {"options": options | {"latent": 0}}),
        "no_images": json.dumps({name: entry for name, entry in config.items() if name != "images"}),
        "no_validation": json.dumps(config | {"options": options | {"validation": 0}, "images": other}),
    }.items():
        shutil.copytree(trained, place / name)
        (place / name / "config.json").write_text(text)


def _checkpoints(place, trained):
    whole = (trained / "checkpoints" / "last.pt").read_bytes()
    middle = len(whole) // 2
    torch.save({"step": Hostile(place / "pwned")}, place / "hostile.pt")
    archive = (place / "hostile.pt").read_bytes()
    for name, content in {
        "truncated": whole[:-100],
        "empty_checkpoint": b"",
        "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "hostile": pickle.dumps(Hostile(place / "pwned")),
        "hostile_archive": archive,
    }.items():
        shutil.copytree(trained, place / name, ignore=shutil.ignore_patterns("last.previous.pt"))
        (place / name / "checkpoints" / "last.pt").write_bytes(content)
    shutil.copytree(trained, place / "no_checkpoint", ignore=shutil.ignore_patterns("*.pt"))
    shutil.copytree(trained, place / "other_model")
    path = place / "other_model" / "config.json"
    config, _ = unstamped(json.loads(path.read_text()))
    path.write_text(json.dumps(config | {"options": config["options"] | {"latent": 4}}))


class Hostile:
    """Unpickled, it makes the folder `path`."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"mkdir {self.path}",)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_touches_nothing(name, zoo, place, trained, hashes):
    command, code, said = MISTAKES[name]
    before = hashes(place), hashes(trained)
    outcome = zoo(*command.format(place=place, run=trained).split())
    assert outcome.err.startswith("zoo: "), outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.endswith("\n")
    assert said in outcome.err
    assert outcome.code == code
    assert outcome.out == ""
    assert (hashes(place), hashes(trained)) == before


def test_what_several_processes_meet_is_said_once(zoo, tmp_path, monkeypatch):
    for rank in (1, 0):
        (tmp_path / f"{rank}").mkdir()
    said = []
    for rank, name in ((1, "vae_digit"), (0, "vae_digit"), (0, "biva_digit")):
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / f"{rank}" / "error.json"))
        outcome = zoo("train", name)
        assert outcome.code == USAGE
        said.append(outcome.err)
    assert "did you mean vae_digits" in said[0]
    assert said[1] == ""
    assert "did you mean biva_digits" in said[2]  # another mistake, of one process


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_a_gpu_is_a_mistake(zoo, tmp_path):
    outcome = zoo("train", "vae_digits", "--device", "cuda", "--out", tmp_path / "new")
    assert outcome.code == USAGE
    assert outcome.err == "zoo: no device 'cuda' on this machine; there is cpu\n"
    assert not (tmp_path / "new").exists()


def test_a_loss_that_explodes_ends_the_run_and_keeps_the_last_checkpoint(train, zoo, tmp_path):
    run = tmp_path / "run"
    # parameters of 1e30 are finite, their products in float32 are not
    assert train(run, "--set", "learning_rate=1e30", "--set", "save_every=1").code == NOT_FINITE
    assert (run / "checkpoints" / "last.pt").is_file()
    outcome = zoo("sample", run, "--out", tmp_path / "x.png")
    assert outcome.code == NOT_FINITE
    assert outcome.err.startswith("zoo: the parameters lead to values that are not finite")


def test_an_earlier_picture_is_kept_whole(zoo, trained, tmp_path):
    picture = tmp_path / "mine.png"
    Image.new("L", (3, 3), 7).save(picture)
    before = picture.read_bytes()
    assert zoo("sample", trained, "--out", picture).code == USAGE
    assert picture.read_bytes() == before
