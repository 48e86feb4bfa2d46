import pytest
import torch

from zoo.data import Batches, Binary, Grid, Unit
from zoo.errors import DataError, UsageError


def numbered(count, shape=(1, 1, 1)):
    """Float images that all hold their own number."""
    return torch.arange(float(count))[:, None, None, None].expand(count, *shape).clone()


def grey(count, shape=(1, 4, 4)):
    generator = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, *shape), dtype=torch.uint8, generator=generator)


def flat(lists):
    return [number for numbers in lists for number in numbers]


def seen(batches, epoch=0, start=0):
    return [batch.flatten(1)[:, 0].int().tolist() for batch in batches.epoch(epoch, start)]


@pytest.mark.parametrize("encoding", [Binary(), Grid(), Unit()])
def test_batch_is_a_function_of_seed_epoch_and_index(encoding):
    make = lambda: Batches(grey(23), 5, encoding=encoding, seed=7)  # noqa: E731
    whole = list(make().epoch(2))
    other = make()
    list(other.epoch(0))
    torch.rand(3)  # whatever else draws numbers
    for start in range(len(other) + 1):
        resumed = list(other.epoch(2, start))
        assert len(resumed) == len(other) - start
        assert all(torch.equal(a, b) for a, b in zip(resumed, whole[start:], strict=True))


def test_interleaved_epochs_do_not_disturb_each_other():
    batches = Batches(grey(12), 4, encoding=Binary())
    alone = [list(batches.epoch(epoch)) for epoch in (0, 1)]
    together = list(zip(batches.epoch(0), batches.epoch(1), strict=True))
    for index, pair in enumerate(together):
        assert all(torch.equal(pair[e], alone[e][index]) for e in (0, 1))


def test_global_generator_is_neither_used_nor_moved():
    before = torch.get_rng_state()
    list(Batches(grey(12), 4, encoding=Binary()).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_start_computes_nothing_before_it():
    calls = []

    class Counting(Unit):
        def __call__(self, images, levels, generator=None):
            calls.append(len(images))
            return super().__call__(images, levels, generator)

    list(Batches(grey(20), 4, encoding=Counting()).epoch(0, start=3))
    assert calls == [4, 4]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("count", [1, 4, 5, 8, 11])
def test_epoch_sees_every_image_at_most_once(count, drop_last):
    batches = Batches(numbered(count), 4, drop_last=drop_last)
    per_batch = seen(batches)
    images = flat(per_batch)
    assert len(per_batch) == len(batches)
    assert len(set(images)) == len(images)
    assert set(images) <= set(range(count))
    if drop_last and count >= 4:
        assert {len(batch) for batch in per_batch} == {4}
    else:
        assert len(images) == count


def test_orders_differ_by_epoch_and_seed():
    orders = [
        tuple(flat(seen(Batches(numbered(40), 8, seed=seed), epoch)))
        for seed in range(4)
        for epoch in range(4)
    ]
    assert len(set(orders)) == 16


def test_order_is_uniform():
    first = torch.tensor([seen(Batches(numbered(8), 8), epoch)[0][0] for epoch in range(800)])
    counts = torch.bincount(first, minlength=8)
    assert ((counts - 100).abs() < 5 * (800 * 1 / 8 * 7 / 8) ** 0.5).all()


def test_without_shuffle_order_stays_and_noise_changes():
    assert seen(Batches(numbered(6), 3, shuffle=False), epoch=4) == [[0, 1, 2], [3, 4, 5]]
    batches = Batches(grey(6), 3, encoding=Binary(), shuffle=False)
    assert not torch.equal(next(batches.epoch(0)), next(batches.epoch(1)))


def test_noise_differs_by_batch():
    same = torch.full((8, 1, 8, 8), 128, dtype=torch.uint8)
    first, second = Batches(same, 4, encoding=Binary()).epoch(0)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("encoding", [Binary(), Unit()])
@pytest.mark.parametrize(("count", "drop_last"), [(25, True), (23, False)])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_what_one_process_sees(world_size, count, drop_last, encoding):
    options = {"encoding": encoding, "seed": 1, "drop_last": drop_last}
    alone = list(Batches(grey(count), 6, **options).epoch(1))
    ranks = [
        list(Batches(grey(count), 6, rank=rank, world_size=world_size, **options).epoch(1))
        for rank in range(world_size)
    ]
    assert all(len(own) == len(alone) for own in ranks)
    for index, batch in enumerate(alone):
        torch.testing.assert_close(torch.cat([own[index] for own in ranks]), batch)


def test_ranks_have_equal_shares_of_whole_batches():
    sizes = {
        len(batch)
        for rank in range(4)
        for batch in Batches(numbered(40), 8, rank=rank, world_size=4).epoch(0)
    }
    assert sizes == {2}


def test_floats_are_handed_on_as_they_are():
    images = torch.randn(6, 2, 3, 3, dtype=torch.float64)
    assert torch.equal(torch.cat(list(Batches(images, 2, shuffle=False).epoch(0))), images)


def test_to_moves_in_place():
    batches = Batches(grey(6), 2, encoding=Unit())
    assert batches.to("cpu") is batches


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_on_a_gpu_are_pure_and_in_the_same_order():
    host = Batches(grey(12), 4, encoding=Unit())
    device = Batches(grey(12), 4, encoding=Unit()).to("cuda")
    for ours, theirs in zip(host.epoch(3), device.epoch(3), strict=True):
        torch.testing.assert_close(ours, theirs.cpu())
    noisy = Batches(grey(12), 4, encoding=Binary()).to("cuda")
    assert torch.equal(list(noisy.epoch(1))[2], next(noisy.epoch(1, start=2)))


def test_floats_may_be_vectors():
    vectors = torch.arange(6.0).reshape(3, 2)
    (batch,) = Batches(vectors, 3, shuffle=False).epoch(0)
    assert torch.equal(batch, vectors)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (grey(4)[0], {"encoding": Unit()}, r"shape \(N, C, H, W\).*got \(1, "),
        (numbered(4).flatten(), {}, r"shape \(N, ...\).*got \(4,\)"),
        (numbered(0), {}, r"none of them 0; got \(0, 1, 1, 1\)"),
        (numbered(4) * torch.nan, {}, "finite"),
        (numbered(4) / 0, {}, "finite"),
        (numbered(4), {"encoding": Unit()}, r"uint8 images for Unit\(\); got torch.float32"),
        (numbered(4).int(), {}, "got torch.int32"),
        (grey(4), {}, "an encoding for uint8 images"),
        (grey(4), {"encoding": Unit(), "levels": 17}, "pass the set's own `levels`"),
        (grey(4), {"encoding": Unit(), "levels": 1}, "levels in 2 .. 256"),
    ],
)
def test_wrong_images_are_refused(images, options, message):
    with pytest.raises(DataError, match=message):
        Batches(images, 2, **options)


@pytest.mark.parametrize(
    ("batch_size", "options", "message"),
    [
        (0, {}, "at least 1; got 0"),
        (2, {"rank": 2, "world_size": 2}, "rank=2, world_size=2"),
        (2, {"rank": -1}, "rank=-1"),
        (3, {"world_size": 2}, "2 ranks can share evenly; got 3"),
        (4, {"world_size": 4, "drop_last": False}, "4 ranks in every batch; the last has 1"),
        (16, {"world_size": 8}, "8 ranks in every batch; the last has 5"),
    ],
)
def test_wrong_sizes_are_refused(batch_size, options, message):
    with pytest.raises(UsageError, match=message):
        Batches(numbered(5), batch_size, **options)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 3)])
def test_wrong_places_are_refused_at_once(epoch, start):
    with pytest.raises(UsageError, match=r"start in 0 \.\. 2"):
        Batches(numbered(4), 2).epoch(epoch, start)
