"""Pictures of trained weights: ways through the latents, layers drawn anew, temperatures, halves completed.

python examples/gallery.py [--out FOLDER]        # without --out nothing is written
"""

import argparse
from pathlib import Path

import torch

import zoo
from zoo.analysis.pictures import save_grid
from zoo.analysis.sampling import upper_half

ROW = 10
TEMPERATURES = (0.6, 0.7, 0.8, 0.9, 1.0)


def hierarchy_pictures(system, x):
    """Pixels by name: ways between pairs of images, and images without their lower layers."""
    way = system.interpolate(x[:ROW], x[ROW : 2 * ROW], steps=8)  # (steps, pairs, C, H, W)
    shown = [x[:ROW], system.reconstruct(x[:ROW])]
    shown += [system.resample(x[:ROW], below=k) for k in (1, 2)]
    return {"interpolation": way.flatten(0, 1), "layers": torch.cat(shown)}


def completed(system, x, times=5):
    """The images, and their upper halves completed several times, pixels."""
    known = upper_half(x[:1])
    drawn = [zoo.complete(system.model, x, known) for _ in range(times)]
    return torch.cat([x, *drawn])


def at_temperatures(system, batches=10):
    """Samples at each temperature from the same noise, batch normalisation readjusted to it; pixels."""
    rows = []
    for temperature in TEMPERATURES:
        with zoo.readjusted(system.model, temperature=temperature, batches=batches):
            torch.manual_seed(0)
            rows.append(zoo.sample(system.model, ROW, temperature=temperature, mean=True))
    return system.encoding.decode(torch.cat(rows))


def save(pictures, out):
    """PNGs of the pictures, ten images a row."""
    for name, pixels in pictures.items():
        print("wrote", save_grid(pixels, Path(out) / f"{name}.png", columns=ROW, scale=5, overwrite=True))


def main(out):
    torch.manual_seed(0)
    digits = zoo.load_data("digits").thresholded()
    biva, pixelcnn = zoo.load("biva_digits"), zoo.load("pixelcnn_digits")
    x = biva.encoding(digits.test[: 2 * ROW], digits.levels)

    for name, system in {"biva_digits": biva, "pixelcnn_digits": pixelcnn}.items():
        result = zoo.log_likelihood(system.model, system.guide, x, 20, seed=0)
        print(f"{name:16s} log p(x) {result.mean:.2f} +- {result.stderr:.2f} nats, {len(x)} images")

    pictures = hierarchy_pictures(biva, x)
    pictures["completions"] = completed(pixelcnn, x[:ROW])
    pictures["temperatures"] = at_temperatures(zoo.load("nvae_digits"))
    if out is not None:
        save(pictures, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", metavar="FOLDER", help="of the pictures, which are replaced there")
    main(parser.parse_known_args()[0].out)
