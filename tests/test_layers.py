"""What belongs where."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zoo

ROOT = Path(zoo.__file__).parents[1]
MAY_SAMPLE = {f"zoo/infer/{name}.py" for name in ("programs", "guides", "semi_amortised", "auxiliary")}
FILES = sorted(p for package in ("zoo", "flows", "distributions") for p in (ROOT / package).rglob("*.py"))


def attributes(path):
    """Every dotted use, ``pyro.sample``, in a file, and every ``from pyro import sample``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module in ("pyro", "pyro.primitives"):
            yield from (f"pyro.{alias.name}" for alias in node.names)


def relative(path):
    return path.relative_to(ROOT).as_posix()


def test_only_models_guides_and_programs_have_sample_statements():
    sampling = {relative(path) for path in FILES if "pyro.sample" in attributes(path)}
    elsewhere = {path for path in sampling - MAY_SAMPLE if not path.startswith("zoo/models/")}
    assert not elsewhere
    assert "zoo/models/vae.py" in sampling


def test_no_module_is_a_pyro_module():
    assert not [relative(p) for p in FILES if "PyroModule" in "".join(attributes(p))]


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_lazy_name_is_there(name):
    found = getattr(zoo, name)
    assert found.__name__ == name
    assert found.__doc__
    assert name in dir(zoo)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute nothing"):
        zoo.nothing  # noqa: B018


@pytest.mark.parametrize(
    "statement",
    [
        "import zoo",
        "import zoo.cli.main",
        "import zoo.experiments",
        "from zoo.experiments import names; names()",
    ],
)
def test_importing_does_not_wait_for_pytorch(statement):
    code = f"import sys; {statement}; assert 'torch' not in sys.modules and 'pyro' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_reading_every_experiment_does_not_wait_for_pytorch():
    code = (
        "import sys; from zoo.experiments import find, names; [find(n).summary for n in names()]; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_sampling_and_measuring_import_no_compiler_and_no_plots(tmp_path):
    """PyTorch's compiler takes as long to import as the rest of it; torchvision imports it."""
    code = (
        "import sys, zoo.infer.compilation, zoo.cli.main as cli; "
        f"cli.main(['sample', 'biva_digits', '-n', '2', '--out', {str(tmp_path / 'a.png')!r}]); "
        "cli.main(['evaluate', 'biva_digits', '--samples', '2', '--images', '2']); "
        "print(sorted({'torch._dynamo', 'torchvision', 'matplotlib', 'tensorboard'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout.splitlines()[-1:] == ["[]"], run.stderr


@pytest.mark.parametrize("package", ["flows", "distributions"])
def test_a_package_of_the_same_name_that_is_not_ours_is_found_out(package, tmp_path):
    (tmp_path / f"{package}.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {package}; import zoo; zoo.ELBO"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 1
    assert f"ImportError: '{package}' at {tmp_path}" in run.stderr
