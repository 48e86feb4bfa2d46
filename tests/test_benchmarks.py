"""The benchmark of a GPU runs where there is none."""

import pytest

from tests.benchmarks import gpu


def test_a_cpu_is_measured_by_the_same_code(capsys):
    gpu.main(
        ["--device", "cpu", "--systems", "vae_digits", "--ways", "eager", "--batch-size", "2", "--steps", "1"]
    )
    *_, row = capsys.readouterr().out.splitlines()
    name, way, images, memory, flops = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, way, float(memory)) == ("vae_digits", "eager", 0)
    assert float(images) > 0
    assert float(flops) >= 0


@pytest.mark.skipif(gpu.torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "there is no GPU here" in capsys.readouterr().err
