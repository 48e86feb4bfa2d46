"""Faults, counted.

python -m tests.faults                     # all, at full size: hours on one core
python -m tests.faults --share 0.1         # a tenth of each
python -m tests.faults kills damage        # some of them
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.faults import damage, elastic, endings, memory, mistakes, moments, systems
from tests.faults.tally import HEADER, Tally

FAULTS: dict[str, tuple[Callable[[int, Path, random.Random], Iterable[Tally]], int]] = {
    "kills": (endings.kills, 200),
    "stops": (endings.stops, 20),
    "elastic": (elastic.restarts, 3),
    "saves": (moments.saves, 80),
    "phases": (moments.phases, 20),
    "disks": (moments.disks, 10),
    "damage": (damage.damage, 300),
    "payloads": (damage.payloads, 1),
    "mistakes": (mistakes.mistakes, 60),
    "memory": (memory.memory, 5000),
}


def main() -> None:
    """Try every fault and print the table; ends with 1 where something went wrong."""
    parser = argparse.ArgumentParser(prog="tests.faults")
    parser.add_argument("names", nargs="*", metavar="FAULT", help=f"{', '.join(FAULTS)}; all by default")
    parser.add_argument("--share", type=float, default=1.0, help="of the full counts")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    systems.preload()
    print(HEADER, flush=True)
    wrong = 0
    for name in options.names or FAULTS:
        fault, full = FAULTS[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            count = max(1, round(options.share * full))
            for tally in fault(count, Path(folder), random.Random(options.seed)):
                print(tally.row(), flush=True)
                for mistake in tally.mistakes:
                    print(mistake, file=sys.stderr, flush=True)
                wrong += len(tally.mistakes)
        print(f"<!-- {name}: {time.monotonic() - began:.0f} s -->", flush=True)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
