"""Time a CSV file as a data set: read first, and from the cache, beside pandas and beside one read of its bytes.

    python benchmarks/tables.py [--rows 1000000] [--columns 30] [--repeats 3]

Each work is a process of its own, which says how long it took after its imports. Prints a Markdown table: seconds on
the clock and of the processor, medians of alternating repeats with their range; times what pandas takes, pair by pair;
and the peak of memory beyond that of the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from timing import spread

CODE = """
import json, resource, sys, time
{imports}
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, clock, busy = peak(), time.perf_counter(), time.process_time()
{work}
print(json.dumps([time.perf_counter() - clock, time.process_time() - busy, peak() - before]))
"""
BYTES = ("", "with open(sys.argv[1], 'rb') as file:\n    while file.read(1 << 24):\n        pass")
PANDAS = ("import pandas", "pandas.read_csv(sys.argv[1])")
OURS = (
    "import pyarrow.csv, torch, gradskew.data",
    "gradskew.data.make(f'csv:{sys.argv[1]}(label=outcome,client=site)').load()",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path, given.rows, given.columns)
        size = path.stat().st_size >> 20
        works = {"its bytes": BYTES, "pandas.read_csv": PANDAS, "csv:, read first": OURS, "csv:, from the cache": OURS}
        taken: dict[str, list[list[float]]] = {name: [] for name in works}
        for number in range(given.repeats):
            environment = {**os.environ, "GRADSKEW_CACHE": str(Path(folder, f"cache{number}"))}
            for name, (imports, work) in works.items():
                code = CODE.format(imports=imports, work=work)
                command = [sys.executable, "-c", code, str(path)]
                said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
                taken[name].append(json.loads(said))
    print(f"{given.rows:,} rows of {given.columns} columns, {size} MB.\n")
    print("| what | seconds (range) | of the processor | x pandas | memory, MB |\n|---|---|---|---|---|")
    for name, numbers in taken.items():
        clock, busy, memory = (list(column) for column in zip(*numbers, strict=True))
        ratios = [mine[0] / peer[0] for mine, peer in zip(numbers, taken["pandas.read_csv"], strict=True)]
        print(f"| {name} | {spread(clock)} | {spread(busy)} | {spread(ratios)} | {median(memory):.0f} |")


def write_table(path: Path, rows: int, columns: int) -> None:
    """Write a table of numbers with an outcome of two words and a site of 50."""
    draw = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join([*(f"x{i}" for i in range(columns - 2)), "site", "outcome"]) + "\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            numbers = np.char.mod("%.4f", draw.normal(size=(count, columns - 2)))
            sites, outcomes = draw.integers(50, size=count), draw.integers(2, size=count)
            lines = (
                f"{','.join(row)},site{site},{'died' if died else 'lived'}\n"
                for row, site, died in zip(numbers, sites, outcomes, strict=True)
            )
            file.writelines(lines)


if __name__ == "__main__":
    main()
