"""The benchmark of a GPU runs where there is none."""

import pytest

from tests.benchmarks import gpu


def test_a_cpu_is_measured_by_the_same_code(capsys):
    choice = "--systems vae_digits --ways eager bf16 --batch-size 2 --steps 1"
    gpu.main(["--device", "cpu", *choice.split()])
    for row, expected in zip(capsys.readouterr().out.splitlines()[-2:], ("eager", "bf16"), strict=True):
        name, way, images, memory, flops = (cell.strip() for cell in row.strip("|").split("|"))
        assert (name, way, float(memory)) == ("vae_digits", expected, 0)
        assert float(images) > 0
        assert float(flops) >= 0


@pytest.mark.skipif(gpu.torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU here" in capsys.readouterr().err
