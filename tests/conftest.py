"""What every test starts from: one thread, a fixed seed, an empty parameter store, Pyro's checks on."""

import pyro
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _start():
    pyro.clear_param_store()
    pyro.enable_validation(True)
    torch.manual_seed(0)
