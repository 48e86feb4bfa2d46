"""Evaluation by several processes: nothing twice, nothing added, and the figures of one process."""

import itertools

import pytest
import torch

from tests.catalogue import images, images_for, pair
from tests.training import runs
from zoo import annealed_log_likelihood, log_likelihood
from zoo.errors import NonFiniteError
from zoo.infer.sharing import shared
from zoo.ranks import gathered, shares

SIZES = [[1], [2], [100], [100, 1], [3, 3, 2], [1, 100], [7] * 20]
KS = [1, 2, 3, 50, 5000]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8, 200])
def test_every_sample_of_every_image_falls_to_one_process(world_size):
    for sizes, k in itertools.product(SIZES, KS):
        every = [shares(sizes, k, rank, world_size) for rank in range(world_size)]
        for j in range(len(sizes)):
            assert [i for mine in every for i in mine[j]] == list(range(k)), (sizes, k)


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_no_process_has_more_than_one_sample_of_a_batch_too_many(world_size):
    for sizes, k, rank in itertools.product(SIZES, KS, range(world_size)):
        work = sum(size * len(r) for size, r in zip(sizes, shares(sizes, k, rank, world_size), strict=True))
        assert abs(work - k * sum(sizes) / world_size) < max(sizes), (sizes, k, rank)


def test_one_process_hears_of_every_image_of_all():
    heard = []
    shared(lambda j, samples: None, [3, 3, 2], 5, distributed=True, progress=heard.append)
    assert heard == [3, 3, 2]


# Two processes

ESTIMATES = {  # name of a pair, images, samples, images at a time
    "one image": ("vae", 1, 7, 100),
    "one image, one sample": ("vae", 1, 1, 100),
    "odd numbers": ("vae", 5, 7, 2),
    "a tail of weights": ("biva of 3 layers", 3, 60, 2),
    "no latents": ("pixelcnn", 3, 4, 100),
    "no latents, one image": ("pixelcnn", 1, 4, 100),
}


def estimates(*, distributed):
    """The fields of every estimate, by name."""
    found = {}
    for name, (which, n, k, batch_size) in ESTIMATES.items():
        found[name] = log_likelihood(
            *pair(which), images_for(which, n), k, batch_size=batch_size, seed=3, distributed=distributed
        )
    for n in (1, 3):
        found[f"{n} annealed"] = annealed_log_likelihood(
            pair("vae")[0], images(n), chains=2, steps=3, batch_size=1, seed=3, distributed=distributed
        )
    return {name: vars(estimate) for name, estimate in found.items()}


def estimates_of(meeting, out, rank, world_size):
    """Both processes' estimates, their fresh seeds, and what each says where rank 1 fails."""
    runs.join(meeting, rank, world_size)
    found = estimates(distributed=True)
    torch.manual_seed(rank)
    fresh = log_likelihood(*pair("vae"), images(2), 3, distributed=True).mean

    def failing():
        if rank == 1:
            raise NonFiniteError("rank 1 has found a weight that is not a number")

    try:
        gathered(failing)
    except NonFiniteError as error:
        said = str(error)
    torch.save({"found": found, "fresh": fresh, "said": said}, f"{out}/{rank}.pt")
    runs.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found, by rank."""
    folder = tmp_path_factory.mktemp("two")
    assert runs.together(estimates_of, folder / "meeting", folder) == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_processes_find_what_one_does(two):
    for name, one in estimates(distributed=False).items():
        for of_rank in two:
            assert of_rank["found"][name].keys() == one.keys()
            for field, value in one.items():
                # float64: weights of other passes, and a sum in another order
                torch.testing.assert_close(
                    of_rank["found"][name][field], value, rtol=1e-9, atol=1e-9, equal_nan=True, msg=name
                )


def test_processes_without_a_seed_take_that_of_the_first(two):
    assert two[0]["fresh"] == two[1]["fresh"]


def test_a_failure_in_one_process_is_one_in_all(two):
    assert two[0]["said"] == two[1]["said"] == "rank 1 has found a weight that is not a number"
