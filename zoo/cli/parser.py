"""The commands of the command line and their options. Nothing here imports PyTorch."""

import argparse
import importlib
from collections.abc import Sequence
from typing import Any, NoReturn

import zoo
from zoo import process
from zoo.errors import UsageError, did_you_mean

TRAINED = "run folder, a file by zoo export, hub:OWNER/NAME, or a name with [weights] in zoo list"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Complain of what is not known here, where the options of the command are, and not of the root's."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            cure = did_you_mean(unknown[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; {cure}" if cure else ""))
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Complain and exit."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> Parser:
    """All commands and their options."""
    root = Parser(
        prog="zoo",
        description="Deep generative models as Pyro programs.",
        epilog="Denormal floats are flushed to zero, freed memory is kept and waiting threads sleep soon; "
        f"{process.OPTION}=0 in the environment leaves all three as they are.",
    )
    root.add_argument("--version", action="version", version=f"zoo {zoo.__version__}")
    commands = root.add_subparsers(dest="name", required=True, metavar="COMMAND", parser_class=Parser)
    _add_list(commands)
    _add_train(commands)
    _add_finetune(commands)
    _add_evaluate(commands)
    _add_compare(commands)
    _add_anomaly(commands)
    _add_sample(commands)
    _add_reconstruct(commands)
    _add_export(commands)
    _add_publish(commands)
    return root


def _add_list(commands: Any) -> None:
    sub = commands.add_parser("list", help="the experiments; [weights]: trained ones come with the zoo")
    sub.add_argument("pattern", nargs="?", default="*", help="such as 'biva*'; all by default")
    _add_json(sub, "them")
    sub.set_defaults(command="list_experiments")


def _add_train(commands: Any) -> None:
    sub = commands.add_parser("train", help="train an experiment and evaluate it", add_help=False)
    sub.add_argument("-h", "--help", action=_Help)
    sub.add_argument("experiment", help="a name from `zoo list`")
    sub.add_argument(
        "--out", metavar="DIR", type=_path, help="run folder, runs/EXPERIMENT by default; must not exist yet"
    )
    sub.add_argument("--epochs", help="passes through the data")
    sub.add_argument("--steps", help="stop after so many steps instead")
    sub.add_argument("--batch-size", help="images a step")
    _add_training(sub)
    sub.set_defaults(command="train")


def _add_finetune(commands: Any) -> None:
    sub = commands.add_parser("finetune", help="train a run further without free bits, in a new folder")
    sub.add_argument("run", metavar="RUN", type=_path, help="run folder; it stays as it is")
    sub.add_argument(
        "--out", metavar="DIR", type=_path, help="run folder, RUN-finetuned by default; must not exist yet"
    )
    further = sub.add_mutually_exclusive_group()
    further.add_argument("--epochs", help="further passes through the data, a tenth of RUN's by default")
    further.add_argument("--steps", help="stop after so many further steps instead")
    _add_training(sub)
    sub.set_defaults(command="finetune")


def _add_training(sub: argparse.ArgumentParser) -> None:
    _add_data(sub)
    _add_device(sub)
    sub.set_defaults(seed=None)  # a resumed run has one
    sub.add_argument(
        "--resume",
        action="store_true",
        help="resume the run in --out, with the options it has; under torchrun begin it if there is none",
    )
    sub.add_argument(
        "--samples",
        type=_count,
        default=100,
        help="importance samples of the final evaluation, 100 by default",
    )
    sub.add_argument("--images", type=_count, help="test images of the final evaluation, all by default")
    sub.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any option of the experiment"
    )


def _add_evaluate(commands: Any) -> None:
    sub = commands.add_parser(
        "evaluate", help="the log-likelihood of a run, by importance sampling if need be"
    )
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument(
        "--method",
        choices=["importance", "ais"],
        default="importance",
        help="importance sampling, or annealed importance sampling: slower, and less in need of a good guide",
    )
    sub.add_argument("--chains", type=_count, help="ais: chains an image, 16 by default")
    sub.add_argument("--steps", type=_count, help="ais: temperatures, 1000 by default")
    sub.add_argument("--leapfrog", type=_count, help="ais: gradients a temperature, 10 by default")
    sub.add_argument("--start", choices=["prior", "guide"], help="ais: where chains start, guide by default")
    _add_measuring(sub)
    sub.set_defaults(command="evaluate")


def _add_compare(commands: Any) -> None:
    sub = commands.add_parser("compare", help="runs on the same images, with paired differences")
    sub.add_argument("runs", metavar="RUN", type=_path, nargs="+", help=f"two or more, each a {TRAINED}")
    _add_measuring(sub)
    sub.set_defaults(command="compare")


def _add_measuring(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--samples", type=_count, help="importance samples an image, K, 1000 by default")
    sub.add_argument("--images", type=_count, help="how many images, all by default")
    sub.add_argument("--split", choices=["test", "validation"], default="test")
    sub.add_argument("--chunk", type=_count, help="samples at a time: memory and speed only")
    _add_json(sub, "the figures")
    _add_data(sub)
    _add_device(sub)


def _add_anomaly(commands: Any) -> None:
    sub = commands.add_parser("anomaly", help="how well a run separates other images from its own")
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument(
        "--out", dest="picture", metavar="FILE", type=_path, help="PNG, in the run folder by default"
    )
    sub.add_argument("--against", metavar="DATA", required=True, help="the anomalies: a data set or a path")
    sub.add_argument(
        "--above", type=_layers, metavar="K,K,...", help="layers k of L^{>k}; 0 to L-1 by default"
    )
    sub.add_argument(
        "--samples", type=_count, default=10, help="log weights an image and bound, 10 by default"
    )
    sub.add_argument("--images", type=_count, help="test images of each set, all by default")
    sub.add_argument("--chunk", type=_count, help="samples at a time: memory and speed only")
    _add_json(sub, "the figures")
    _add_data(sub)
    _add_device(sub)
    sub.set_defaults(command="anomaly")


def _add_sample(commands: Any) -> None:
    sub = commands.add_parser("sample", help="a picture of samples")
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument("-n", type=_count, default=64, help="how many, 64 by default")
    sub.add_argument(
        "--temperature", type=float, default=1.0, help="1 by default; below 1: more typical, less varied"
    )
    _add_picture(sub, "samples.png")
    _add_device(sub)
    sub.set_defaults(command="sample_run")


def _add_reconstruct(commands: Any) -> None:
    sub = commands.add_parser("reconstruct", help="a picture of test images and their reconstructions")
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument("-n", type=_count, help="how many, 32 by default, or all where there are fewer")
    _add_picture(sub, "reconstructions.png")
    _add_data(sub)
    _add_device(sub)
    sub.set_defaults(command="reconstruct_run")


def _add_export(commands: Any) -> None:
    sub = commands.add_parser("export", help="a run's weights, options and record as one file")
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument("file", metavar="FILE", type=_path, help="such as mine.safetensors; must not exist yet")
    _add_dtype(sub)
    sub.set_defaults(command="export")


def _add_publish(commands: Any) -> None:
    sub = commands.add_parser("publish", help="weights and a card with their figures, to a folder or a hub")
    sub.add_argument("run", metavar="RUN", type=_path, help=TRAINED)
    sub.add_argument("--to", metavar="PLACE", type=_path, required=True, help="new folder, or hub:OWNER/NAME")
    _add_dtype(sub)
    sub.set_defaults(command="publish")


def _add_picture(sub: argparse.ArgumentParser, name: str) -> None:
    text = "PNG, %(default)s by default; must not exist yet"
    sub.add_argument("--out", metavar="FILE", type=_path, default=name, help=text)


def _add_json(sub: argparse.ArgumentParser, what: str) -> None:
    text = f"write {what} to a file as well; -: standard output"
    sub.add_argument("--json", metavar="FILE", type=_path, help=text)


def _add_dtype(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--dtype",
        choices=["float32", "float16", "bfloat16"],
        default="float32",
        help="of the parameters in the file: half the bytes, with 11 or 8 significant bits of 24",
    )


def _add_data(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--data-root", metavar="DIR", type=_path, help="where data sets lie, data by default")
    sub.add_argument("--download", action="store_true", help="fetch the data set if it is not there")


def _add_device(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--seed", type=_seed, default=0, help="of all that is random, 0 by default")
    sub.add_argument("--device", default="cpu", help="cpu, the default, cuda, cuda:1, ...")


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path; got {text!r}")
    return text


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer; got {text[:40]!r}") from None
    if not 1 <= count < 2**63:
        bound = "below 2^63" if count > 0 else ">= 1"
        raise argparse.ArgumentTypeError(f"expected an integer {bound}; got {text[:40]}")
    return count


def _seed(text: str) -> int:
    seed = int(text) if text.isdecimal() else -1
    if not 0 <= seed < 2**63:
        raise argparse.ArgumentTypeError(f"expected an integer from 0 to 2^63 - 1; got {text!r}")
    return seed


def _layers(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected layers like 0,1,2; got {text!r}")
    return [int(part) for part in parts]


class _Help(argparse.Action):
    """``--help``; after the name of an experiment, with the options of that experiment."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="this; after an EXPERIMENT, its options too")

    def __call__(self, parser: Any, namespace: argparse.Namespace, *rest: Any) -> None:
        parser.print_help()
        if getattr(namespace, "experiment", None):
            print("\noptions of the experiment, for --set:")
            importlib.import_module("zoo.cli.commands").show_options(namespace.experiment)
        parser.exit()
