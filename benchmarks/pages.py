"""Measure the report of a large bench: seconds of one core, memory, sizes of the page and of the files beside it.

    python benchmarks/pages.py [--cells 2000] [--seeds 5]

The records are those of one run with the lens, under other names and with accuracies drawn around its own: as large as
real ones, without an hour of playing. Beside the seconds of `gradskew report` stand those of decoding all records once.
"""

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gradskew import Run, simulate
from gradskew.aggregators import MultiKrum
from gradskew.attacks import IPM, NoAttack
from gradskew.runs.record import Record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_records(Path(folder), given.cells, given.seeds, given.rounds)
        started = time.process_time()
        for path in paths:
            json.loads(path.read_bytes())
        decoded = time.process_time() - started
        command = [sys.executable, "-c", "from gradskew.cli import main; main()", "report", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = Path(folder, "report.html").stat().st_size
        beside = sum(path.stat().st_size for path in Path(folder, "report-details").glob("*"))
    heads = ["cells", "seeds", "s", "s to decode the records", "GB", "report.html, MB", "report-details, MB"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20
    sizes = f"{page / 1e6:.1f} | {beside / 1e6:.0f}"
    print(f"| {given.cells:,} | {given.seeds} | {seconds:.0f} | {decoded:.1f} | {memory:.2f} | {sizes} |")


def make_records(folder: Path, cells: int, seeds: int, rounds: int) -> list[Path]:
    """Write the records of a square grid of attacks, of which the first is none, and rules; return their paths."""
    run = Run(rounds=rounds, byzantine=10)
    made, rng, paths = simulate(run), random.Random(0), []
    side = math.ceil(math.sqrt(cells))
    names = [(row, column) for row in range(side) for column in range(side)][:cells]
    for row, column in names:
        for seed in range(seeds):
            attack = IPM(epsilon=round(0.1 + row / 1000, 3)) if row else NoAttack()
            rule = MultiKrum(m=1 + column)
            other = replace(run, attack=attack, aggregator=rule, seed=seed)
            moved = [{**each, "accuracy": _near(each["accuracy"], row, rng)} for each in made.rounds]
            record = Record.of(replace(made, run=other, rounds=moved))
            path = folder / "runs" / other.digest / "record.json"
            path.parent.mkdir(parents=True)
            path.write_text(record.to_json())
            paths.append(path)
    return paths


def _near(accuracy: float | None, row: int, rng: random.Random) -> float | None:
    """Return an accuracy some points away; the rows differ, so that there is something to tell apart."""
    return None if accuracy is None else round(min(100, max(0, accuracy - row / 5 + rng.gauss(0, 2))), 4)


if __name__ == "__main__":
    main()
