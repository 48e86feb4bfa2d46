"""Small runs of `fit`, in this process or in others that can be killed."""

import multiprocessing
import os
import signal
import sys
from functools import partial

import pyro
import pyro.distributions as dist
import torch
from torch import distributed, nn

import zoo
from zoo.cli.main import main
from zoo.data import Batches, Binary
from zoo.training.checkpoint import load_checkpoint
from zoo.training.run_folder import RunFolder
from zoo.training.trainer import Trainer

IMAGES, BATCH, EPOCHS = 40, 10, 3
STEPS = EPOCHS * IMAGES // BATCH
SIZES = {"channels": 2, "latent": 2}  # blocks of one shape occur twice: they can be compiled by blocks

# Its children are forked from a process that has imported everything and has no threads.
_children = multiprocessing.get_context("forkserver")
_children.set_forkserver_preload(
    [
        *("zoo.cli.main", "zoo.runs.run", "zoo.models.vae", "zoo.training.event_file"),
        *("torch._dynamo", "zoo.training.sharding", "tests.training.runs"),
    ]
)


def digits(n=IMAGES, **changes):
    """Batches of a few digits."""
    data = zoo.load_data("digits")
    options = {"encoding": Binary(), "levels": data.levels, "seed": 5, **changes}
    return Batches(data.train[:n], BATCH, **options)


def epoch_figures(trainer):
    """A callback that logs, and draws from the global generator."""
    trainer.logger.scalars(trainer.step, {"validation/noise": torch.randn(()).item()})


def fit_digits(folder, *, data=None, callbacks=(epoch_figures,), **changes):
    """A VAE with everything that has a state: EMA, warm-up, a learning rate that falls, dropout's noise."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    system = zoo.build("vae_digits", **SIZES)
    run = None
    if folder is not None:
        resume = (folder / "config.json").exists()
        run = RunFolder.open(folder) if resume else RunFolder.create(folder, {"seed": 5})
        changes = {"resume": resume, **changes}
    options = {"epochs": EPOCHS, "ema": 0.8, "learning_rate_decay": 0.9, "log_every": 1, "save_every": 1}
    return zoo.fit(
        system.model,
        system.guide,
        zoo.ELBO(warmup=8),
        digits() if data is None else data,
        seed=5,
        run=run,
        callbacks=callbacks,
        **{**options, **changes},
    )


def state(folder):
    """What the last checkpoint holds."""
    return load_checkpoint(folder / "checkpoints" / "last.pt")


def metrics(folder):
    """All figures but the speed; every line must be whole."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    read = RunFolder.open(folder).read_metrics()
    assert len(read) == len(lines)
    return [{k: v for k, v in line.items() if "per_second" not in k} for line in read]


def same(a, b):
    """Whether two trees are the same, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def signal_in_step(patch, step, *numbers):
    """Let the process signal itself in the middle of a step."""
    train_step = Trainer.train_step

    def interrupted(self, x):
        if self.step + 1 == step:
            for number in numbers:
                os.kill(os.getpid(), number)
        return train_step(self, x)

    patch.setattr(Trainer, "train_step", interrupted)


def in_process(function, *arguments, **keywords):
    """Call `function` in another process; returns its exit code, negative for a signal."""
    process = _children.Process(target=partial(function, **keywords), args=arguments)
    process.start()
    process.join()
    return process.exitcode


class Command:
    """The command line in another process, whose output can be waited for.

    Args:
        arguments: of ``zoo``.
        before: what that process does first.
        environment: variables of that process.
    """

    def __init__(self, *arguments, before=None, **environment):
        self.out, out = _pipe()
        self.err, err = _pipe()
        self.process = _children.Process(
            target=_command, args=(list(map(str, arguments)), before, environment, out, err)
        )
        self.process.start()
        out.close()
        err.close()

    def end(self):
        """Wait for its end; returns the exit code, what is left of the output and of the errors."""
        with self.out, self.err:
            out, err = self.out.read(), self.err.read()
        self.process.join()
        return self.process.exitcode, out, err

    def kill(self):
        """End it, if it has not ended."""
        self.process.kill()
        self.out.close()
        self.err.close()
        self.process.join()


def _pipe():
    receiver, sender = _children.Pipe(duplex=False)
    with receiver:
        return os.fdopen(os.dup(receiver.fileno())), sender


def _command(arguments, before, environment, *pipes):
    for stream, pipe in enumerate(pipes, 1):
        os.dup2(pipe.fileno(), stream)
        pipe.close()
    os.environ.update(environment)
    torch.set_num_threads(1)
    if before is not None:
        before()
    sys.exit(main(arguments))


# Runs that die


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_step(folder, step, **changes):
    """Train, and be killed when the gradient of a step is known."""
    optimizer = torch.optim.AdamW if changes.get("optimizer") == "adamw" else torch.optim.Adamax
    take, done = optimizer.step, []

    def deadly(self, *arguments):
        done.append(1)
        if len(done) == step:
            die()
        return take(self, *arguments)

    optimizer.step = deadly
    fit_digits(folder, **changes)


def die_in_rename(folder, number, *, after=False, **changes):
    """Train, and be killed before or after a rename of the checkpoints."""
    replace, done = os.replace, []

    def deadly(source, target):
        done.append(target)
        if after and len(done) == number:
            replace(source, target)
        if len(done) == number:
            die()
        replace(source, target)

    os.replace = deadly
    fit_digits(folder, **changes)


def die_in_callback(folder, epoch, **changes):
    """Train, and be killed at the end of an epoch, when its figures are logged."""

    def deadly(trainer):
        epoch_figures(trainer)
        if trainer.step == epoch * IMAGES // BATCH:
            die()

    fit_digits(folder, callbacks=[deadly], **changes)


def die_after_log(folder, step, **changes):
    """Train, and be killed when a step's figures are logged."""
    log = Trainer._log

    def deadly(self, *arguments):
        log(self, *arguments)
        if self.step == step:
            die()

    Trainer._log = deadly
    fit_digits(folder, **changes)


# Runs of several processes


class Mean(nn.Module):
    """A model without noise: x ~ N(decode(z), 1), z its own posterior's mean."""

    def __init__(self):
        super().__init__()
        self.decode = nn.Linear(3, 64)

    def forward(self, x):
        with zoo.batch_plate():
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), 3), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decode(z), 1.0).to_event(1), obs=x.flatten(1))


class Point(nn.Module):
    """Its guide, a point."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(64, 3)

    def forward(self, x):
        with zoo.batch_plate():
            pyro.sample("z", dist.Delta(self.encode(x.flatten(1)), event_dim=1))


def fit_points(rank=0, world_size=1, **changes):
    """Train the model without noise on this process's share of every batch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = digits(rank=rank, world_size=world_size)
    options = {"epochs": 2, "resume": True, **changes}
    return zoo.fit(Mean(), Point(), zoo.ELBO(), data, seed=5, **options)


def join(meeting, rank, world_size):
    """Join a group of processes that meet at a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world_size)


def fit_points_of(meeting, out, rank, world_size, **changes):
    """`fit_points` as one of several processes; writes down what it ends with."""
    join(meeting, rank, world_size)
    fit = fit_points(rank, world_size, **changes)
    torch.save(fit.loss.state_dict(), f"{out}/{rank}.pt")
    distributed.destroy_process_group()


def fit_points_again_of(meeting, out, rank, world_size):
    """Two processes begin the run `two` and resume the run `one`, if one process has begun it."""
    join(meeting, rank, world_size)
    for name, options in {"two": {"epochs": 1}, "one": {}}.items():
        distributed.barrier()
        fit_points(rank, world_size, run=folder_of(out / name, write=rank == 0), **options)
    distributed.destroy_process_group()


def folder_of(path, *, write=True):
    """The run folder at a path, made if it is not there and may be; else None."""
    if (path / "config.json").exists():
        return RunFolder.open(path)
    return RunFolder.create(path, {"seed": 5}) if write else None


def fit_digits_of(meeting, out, rank, world_size, **changes):
    """`fit_digits` as one of several processes; rank 0 has the folder."""
    join(meeting, rank, world_size)
    data = digits(rank=rank, world_size=world_size)
    resume = (out / "config.json").exists()
    distributed.barrier()
    if rank == 0 or resume:
        fit_digits(out, data=data, **changes)
    else:
        fit_digits(None, data=data, **changes)
    distributed.destroy_process_group()


def together(function, *arguments, world_size=2, **keywords):
    """Call `function` in several processes at once; returns their exit codes."""
    call = partial(function, **keywords)
    processes = [
        _children.Process(target=call, args=(*arguments, rank, world_size)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]
