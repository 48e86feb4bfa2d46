import errno

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.analysis import pictures
from zoo.analysis.pictures import grid, save_grid
from zoo.errors import DataError, UsageError


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_images_lie_side_by_side_and_enlarged(tmp_path):
    images = torch.linspace(0, 1, 6 * 64).view(6, 1, 8, 8)
    path = save_grid(images, tmp_path / "pictures" / "grid.png", columns=3)
    found = pixels(path)
    assert found.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    for n in range(6):
        top, left = 2 + 66 * (n // 3), 2 + 66 * (n % 3)
        tile = found[top : top + 64, left : left + 64]
        expected = (images[n, 0] * 255).round().byte().numpy().repeat(8, 0).repeat(8, 1)
        assert (tile == expected[..., None]).all()
    assert (found[:2] == 128).all()


@pytest.mark.parametrize(
    ("size", "side"),
    [
        ((8, 8), 64),
        ((28, 28), 84),
        ((32, 32), 64),
        ((64, 64), 64),
        ((100, 80), 80),
        ((8, 16), 64),
        ((1, 1), 64),
    ],
)
def test_shorter_side_gets_64_pixels_or_more(size, side):
    shape = grid(torch.zeros(4, 3, *size)).shape
    scale = side // min(size)
    assert shape == (3, 2 * (size[0] * scale + 2) + 2, 2 * (size[1] * scale + 2) + 2)


def test_grid_is_about_square_unless_told():
    images = torch.zeros(10, 1, 64, 64)
    assert grid(images).shape == (3, 3 * 66 + 2, 4 * 66 + 2)
    assert grid(images, columns=10).shape == (3, 68, 662)
    assert grid(images, columns=1, scale=2).shape == (3, 10 * 130 + 2, 132)
    assert grid(images[:1]).shape[0] == 3


def test_colours_are_kept(tmp_path):
    images = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(4, 3, 4, 4)
    assert tuple(pixels(save_grid(images, tmp_path / "a.png"))[10, 10]) == (255, 128, 0)


def test_what_networks_give_is_taken(tmp_path):
    images = torch.rand(2, 1, 8, 8, requires_grad=True).bfloat16()
    save_grid(images, tmp_path / "a.png")
    images = torch.tensor([float("nan"), 1 + 1e-6, -1e-6, 0.5]).view(4, 1, 1, 1)
    save_grid(images, tmp_path / "b.png", scale=1, columns=4)
    assert list(pixels(tmp_path / "b.png")[2, 2::3, 0]) == [0, 255, 0, 128]


def test_no_picture_is_overwritten_unless_told(tmp_path):
    (tmp_path / "a.png").write_text("a user's picture")
    images = torch.zeros(1, 1, 8, 8)
    with pytest.raises(UsageError, match=r"expected a new file.*got .*a\.png"):
        save_grid(images, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_text() == "a user's picture"
    save_grid(images, tmp_path / "a.png", overwrite=True)
    assert pixels(tmp_path / "a.png").sum() == 0


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(8, 8),
        torch.zeros(4, 8, 8),
        torch.zeros(4, 8, 8, 1),
        torch.zeros(4, 2, 8, 8),
        torch.zeros(0, 1, 8, 8),
        torch.zeros(4, 1, 0, 8),
        torch.zeros(4, 1, 8, 8, dtype=torch.uint8),
        torch.full((4, 1, 8, 8), 255.0),
        torch.full((4, 1, 8, 8), -1.0),
        torch.full((4, 1, 8, 8), torch.inf),
    ],
    ids=lambda x: f"{tuple(x.shape)}-{x.dtype}-{x.max().item() if x.numel() else ''}",
)
def test_other_shapes_types_and_ranges_are_refused(images, tmp_path):
    with pytest.raises(DataError, match=r"expected .*; got .*; ") as caught:
        save_grid(images, tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"columns": 0}, {"scale": 0}, {"scale": -1}])
def test_columns_and_scale_are_one_or_more(options, tmp_path):
    with pytest.raises(UsageError, match="1 or more"):
        save_grid(torch.zeros(1, 1, 8, 8), tmp_path / "a.png", **options)


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    images = torch.zeros(1, 1, 8, 8)
    for name in ("a.jpg", "a"):
        with pytest.raises(UsageError, match=r"end in \.png"):
            save_grid(images, tmp_path / name)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        save_grid(images, tmp_path / "file" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UsageError, match="could not write"):
        save_grid(images, tmp_path / "a.png", overwrite=True)


def test_no_half_picture_is_left(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, mode):
            path.write_bytes(b"half")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures, "open", Full, raising=False)
    with pytest.raises(UsageError, match=r"a\.png.*bytes.*No space left"):
        save_grid(torch.zeros(1, 1, 8, 8), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
