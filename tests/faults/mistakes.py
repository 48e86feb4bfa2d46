"""Wrong inputs, drawn at random: each is refused in one line before anything is written."""

import contextlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.tally import Tally
from zoo.cli.main import main
from zoo.experiments import find

EXPERIMENTS = ("vae_iaf_digits", "biva_digits", "real_nvp_digits", "pixelcnn_digits", "m2_digits")
NO_NUMBERS = ("ten", "nan", "inf", "1e400", "", "[]", "None!", "0x", "--", "3,", "{}", "\u0663x")
TOO_SMALL = ("-1", "-0.5", "-3000000000000")
NATURAL = ("epochs", "batch_size", "log_every")  # and what else must be a positive integer


def mistakes(count: int, folder: Path, rng: random.Random) -> list[Tally]:
    """Half of them options, half images."""
    options, images = (
        Tally("an option of a wrong type or range"),
        Tally("images of a wrong shape, type or range"),
    )
    for i in range(count):
        out = folder / "mistakes" / str(i)
        if i % 2:
            _judge(images, out, "vae_digits", "--set", f"data={_wrong_images(folder / f'images-{i}', rng)}")
        else:
            name = rng.choice(EXPERIMENTS)
            key, value = _wrong_option(name, rng)
            _judge(options, out, name, "--set", f"{key}={value}")
    return [options, images]


def _judge(tally: Tally, out: Path, *arguments: object) -> None:
    said, printed = io.StringIO(), io.StringIO()
    command = ("train", *arguments, "--out", out, "--steps", "1", "--images", "1", "--samples", "1")
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed):
            code: object = main([str(part) for part in command])
    except BaseException as error:
        code = error
    lines = said.getvalue().splitlines()
    good = code in (2, 3) and len(lines) == 1 and lines[0].startswith("zoo: ") and not out.exists()
    tally.add("detected" if good else "wrong", f"{arguments}: {code!r}: {said.getvalue()[-300:]}")


def _wrong_option(name: str, rng: random.Random) -> tuple[str, str]:
    options = find(name).options()
    numbers = [
        key
        for key, value in options.items()
        if isinstance(value, (int, float, list, tuple))
        and not isinstance(value, bool)
        and key not in ("steps", "epochs")
    ]
    key = rng.choice(numbers)
    values = NO_NUMBERS if isinstance(options[key], (list, tuple)) else NO_NUMBERS + TOO_SMALL
    return key, rng.choice(values)


def _wrong_images(place: Path, rng: random.Random) -> Path:
    """A file of images that are not 8-bit or in [0, 1], have no shape of images, or are too few."""
    draw = np.random.default_rng(rng.randrange(2**32))
    wrong: list[Any] = [
        draw.random((20, 8, 8)) * 255,
        draw.random((20, 8, 8)) - 0.5,
        np.full((20, 8, 8), np.nan),
        np.where(draw.random((20, 8, 8)) < 0.01, np.inf, 0.5),
        draw.integers(0, 300, (20, 8, 8)),
        draw.integers(-2, 2, (20, 8, 8)).astype(np.int16),
        draw.random((20, 64)),
        draw.random((8, 8)),
        draw.random((20, 8, 8, 2, 2)),
        draw.random((20, 5, 8, 9)),
        draw.random((0, 8, 8)),
        draw.random((20, 0, 8)),
        draw.random((20, 8, 8)) + 1j,
        np.array(["a", "b"]),
        draw.integers(0, 10, 20),
        np.float64(3.0),
    ]
    path = place.with_suffix(".npy")
    np.save(path, rng.choice(wrong))
    return path
