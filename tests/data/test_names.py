import subprocess
import sys
from pathlib import Path

import pytest

import zoo.data
from zoo.data import DATASETS, load_data
from zoo.data.benchmark_files import FILE_SETS
from zoo.data.names import canonical_name
from zoo.data.torchvision_sets import SETS
from zoo.errors import DataError


def test_every_name_can_be_loaded_and_every_set_has_a_line():
    assert set(DATASETS) == {"digits", *SETS, *FILE_SETS}
    assert all(line and "\n" not in line for line in DATASETS.values())


@pytest.mark.parametrize("name", ["CIFAR-10", "cifar10", "Cifar_10", "CIFAR 10"])
def test_spelling_does_not_matter(name):
    assert canonical_name(name) == "cifar10"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnsit", "did you mean mnist"),
        ("digit", "did you mean digits"),
        ("", "got ''"),
        ("qqqqqq", "got 'qqqqqq': names are digits, mnist, .* digits is embedded"),
    ],
)
def test_unknown_name(name, message):
    with pytest.raises(DataError, match=message) as caught:
        load_data(name)
    assert "\n" not in str(caught.value)


def test_everything_public_is_there():
    for name in zoo.data.__all__:
        assert getattr(zoo.data, name) is not None
    with pytest.raises(AttributeError, match="attribute Batch"):
        _ = zoo.data.Batch


def test_listing_imports_no_torch_and_loading_no_torchvision():
    code = (
        "import sys; from zoo.data import DATASETS; assert 'torch' not in sys.modules;"
        "from zoo.data import load_data; load_data('digits');"
        "assert 'torchvision' not in sys.modules"
    )
    repository = Path(zoo.data.__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)
