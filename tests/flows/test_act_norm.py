"""Laws of activation normalisation: what the first batch sets, when, and what remembers it."""

import copy
import io
import pickle

import pytest
import torch

from flows import ActNorm, Composed

SHAPES = pytest.mark.parametrize("shape", [(3,), (3, 4, 2)], ids=str)
DIRECTIONS = pytest.mark.parametrize("direction", ["call_and_log_det", "inverse_and_log_det"])


def data(shape, batch=(5, 20), dtype=torch.float32):
    channels, *pixels = shape
    channel = torch.arange(1.0, 1 + channels, dtype=dtype).view(-1, *[1] * len(pixels))
    return 10 * channel + channel * torch.randn(*batch, *shape, dtype=dtype)


def moments(y, shape):
    y = y.reshape(-1, *shape).transpose(0, 1).flatten(1)
    return y.mean(1), y.std(1, correction=0)


@SHAPES
@DIRECTIONS
@pytest.mark.parametrize("batch", [(100,), (5, 20)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_first_batch_leaves_with_mean_0_and_deviation_1(shape, direction, batch, dtype):
    flow = ActNorm(shape).to(dtype)
    with torch.no_grad():
        y, _ = getattr(flow, direction)(data(shape, batch, dtype))
    mean, sd = moments(y, shape)
    torch.testing.assert_close(mean, torch.zeros(3, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(sd, torch.ones(3, dtype=dtype), rtol=0, atol=1e-5)
    assert flow.initialised


@DIRECTIONS
def test_second_batch_sets_nothing(direction):
    flow = ActNorm(3)
    getattr(flow, direction)(data((3,)))
    before = flow.log_scale.clone(), flow.shift.clone()
    getattr(flow, direction)(100 + data((3,)))
    assert torch.equal(flow.log_scale, before[0])
    assert torch.equal(flow.shift, before[1])


@DIRECTIONS
def test_evaluation_sets_nothing(direction):
    flow, x = ActNorm((3, 2, 2)).eval(), data((3, 2, 2))
    y, log_det = getattr(flow, direction)(x)
    assert torch.equal(y, x)
    assert torch.equal(log_det, torch.zeros(5, 20))
    assert not flow.initialised


def test_log_det_counts_the_pixels():
    flow = ActNorm((2, 3, 5)).eval()
    with torch.no_grad():
        flow.log_scale.copy_(torch.tensor([1.0, -0.25]).view(2, 1, 1))
    assert flow.call_and_log_det(torch.zeros(7, 2, 3, 5))[1].tolist() == [15 * 0.75] * 7


@DIRECTIONS
@pytest.mark.parametrize("batch", [(), (1,)], ids=str)
def test_batch_of_one_vector_is_only_moved(direction, batch):
    flow = ActNorm(3)
    y, log_det = getattr(flow, direction)(data((3,), batch))
    assert torch.equal(y, torch.zeros(*batch, 3))
    assert torch.equal(log_det, torch.zeros(batch))


@DIRECTIONS
def test_constant_channel_is_only_moved(direction):
    x = data((3, 4, 4), (6,))
    x[:, 1] = 1 / 3
    flow = ActNorm((3, 4, 4))
    y, log_det = getattr(flow, direction)(x)
    assert y.isfinite().all()
    assert log_det.isfinite().all()
    assert y[:, 1].abs().max() < 1e-6
    assert flow.log_scale[1] == 0


def saved(flow):
    file = io.BytesIO()
    torch.save(flow.state_dict(), file)
    file.seek(0)
    fresh = ActNorm(3)
    fresh.load_state_dict(torch.load(file))
    return fresh


COPIES = {"state_dict": saved, "deepcopy": copy.deepcopy, "pickle": lambda f: pickle.loads(pickle.dumps(f))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("used", [True, False])
def test_copies_remember_whether_they_were_initialised(copied, used):
    flow = ActNorm(3)
    if used:
        flow(data((3,)))
    again = copied(flow).train()
    before = again.shift.clone()
    again(data((3,)))
    assert torch.equal(again.shift, before) == used
    assert again.initialised


def test_a_state_from_before_the_first_batch_makes_it_fresh():
    flow, fresh = ActNorm(3), ActNorm(3).state_dict()
    flow(data((3,)))
    flow.load_state_dict(fresh)
    y = flow(data((3,)))
    torch.testing.assert_close(moments(y, (3,))[0], torch.zeros(3), rtol=0, atol=1e-5)


def test_those_in_a_row_are_all_initialised_by_one_pass():
    flow = Composed([ActNorm(3), ActNorm(3).inv])
    flow.inverse_and_log_det(data((3,)))
    assert all(buffer for name, buffer in flow.named_buffers() if name.endswith("initialised"))


def test_first_gradient_is_that_of_the_initialised_map():
    flow, x = ActNorm(2), data((2,), (50,)).requires_grad_()
    y, log_det = flow.inverse_and_log_det(x)
    (y.sum() + log_det.sum()).backward()
    expected = torch.exp(-flow.log_scale.detach()).expand(50, 2)
    torch.testing.assert_close(x.grad, expected)
    torch.testing.assert_close(flow.log_scale.grad, torch.full((2,), -50.0), rtol=1e-4, atol=1e-3)


def _initialised_on(rank, file, results):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    flow = ActNorm((3, 2, 2))
    flow.inverse_and_log_det(torch.load(results + ".in")[3 * rank : 3 + 5 * rank])
    torch.save(flow.state_dict(), f"{results}.{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_agree_on_all_their_data(tmp_path):
    x, results = data((3, 2, 2), (8,)), str(tmp_path / "out")
    torch.save(x, results + ".in")
    arguments = (tmp_path / "rendezvous", results)
    torch.multiprocessing.start_processes(_initialised_on, arguments, nprocs=2, start_method="fork")
    alone = ActNorm((3, 2, 2))
    alone.inverse_and_log_det(x)
    for rank in range(2):
        torch.testing.assert_close(
            torch.load(f"{results}.{rank}"), dict(alone.state_dict()), check_dtype=False
        )
