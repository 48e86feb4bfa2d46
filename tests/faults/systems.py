"""The runs that faults happen to: VAEs, a flow and an autoregressive model, each small."""

from pathlib import Path
from typing import Any

from tests.training import runs
from tests.training.test_resume import events
from zoo.training.checkpoint import has_checkpoint, load_latest
from zoo.training.checkpoint_format import BEST
from zoo.training.run_folder import RunFolder

STEPS = 14  # two epochs
RECIPE = (
    *("--batch-size", 200, "--steps", STEPS, "--samples", 2, "--images", 5, "--seed", 4),
    *("--set", "log_every=1", "--set", "save_every=2", "--set", "ema=0.9"),
    *("--set", "learning_rate_decay=0.99", "--set", "validation=20"),
)
SYSTEMS = {
    "VAE, IAF posterior, warm-up, best epoch": (
        *("vae_iaf_digits", "--set", "channels=4", "--set", "latent=3", "--set", "warmup=20"),
        *("--set", "choose=best"),
    ),
    "BIVA, free bits": (
        "biva_digits",
        "--set",
        "filters=4",
        "--set",
        "blocks=1",
        "--set",
        "free_bits=1",
        "--set",
        "warmup=20",
    ),
    "IWAE, clipped": (
        "vae_digits",
        "--set",
        "channels=4",
        "--set",
        "objective=ImportanceWeighted",
        "--set",
        "k=3",
        "--set",
        "clip=1",
    ),
    "M2, labels": ("m2_digits", "--set", "hidden=8"),
    "RealNVP": ("real_nvp_digits", "--set", "layers=1", "--set", "hidden=4"),
    "PixelCNN": ("pixelcnn_digits", "--set", "channels=4", "--set", "blocks=1", "--set", "head=4"),
}
FINETUNED = "BIVA, finetuned"
TWO = "VAE, two processes"


def preload() -> None:
    """Let children be forked from a process that has imported what they need."""
    modules = ("vae", "biva", "m2", "real_nvp", "autoregressive")
    more = [f"zoo.models.{name}" for name in modules] + ["zoo.cli.commands", "tests.faults.children"]
    runs._children.set_forkserver_preload(
        [
            "zoo.cli.main",
            "zoo.runs.run",
            "zoo.training.event_file",
            "torch._dynamo",
            "tests.training.runs",
            *more,
        ]
    )


def training(name: str, out: Path) -> tuple[object, ...]:
    """The command that begins or resumes the run of a system."""
    if name == FINETUNED:
        steps = (
            "--steps",
            STEPS,
            "--set",
            "log_every=1",
            "--set",
            "save_every=2",
            "--samples",
            2,
            "--images",
            5,
        )
        return "finetune", out.parent / "source", "--out", out, *steps, "--resume"
    options = SYSTEMS["IWAE, clipped"] if name == TWO else SYSTEMS[name]
    return "train", *options, "--out", out, *RECIPE, "--resume"


def prepare(name: str, folder: Path) -> None:
    """Train what a run is finetuned from."""
    if name == FINETUNED:
        whole(("train", *SYSTEMS["BIVA, free bits"], "--out", folder / "source", *RECIPE))


def start(arguments: tuple[object, ...], before: Any = None, **environment: str) -> runs.Command:
    """A command in a process of its own, with --resume as torchrun understands it."""
    return runs.Command(*arguments, before=before, TORCHELASTIC_RUN_ID="none", **environment)


def whole(arguments: tuple[object, ...]) -> None:
    """Run a command to its end, which must be a good one."""
    code, _, said = start(arguments).end()
    assert code == 0, said


def differences(run: Path, reference: Path) -> list[str]:
    """In what two runs differ: weights, average, optimiser, best epoch, figures, TensorBoard's scalars."""
    folders = RunFolder.open(run), RunFolder.open(reference)
    found = []
    for name in ("last.pt", BEST):
        there = [has_checkpoint(folder.checkpoints, name) for folder in folders]
        states = [load_latest(folder.checkpoints, name=name) for folder in folders if all(there)]
        if there[0] != there[1] or (states and not runs.same(*states)):
            found.append(name)
    for what, read in {"metrics": runs.metrics, "TensorBoard": events}.items():
        if read(run) != read(reference):
            found.append(what)
    return found
