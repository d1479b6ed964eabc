"""Power cuts: while a sweep writes to a disk of its own, copies of the disk are taken at random instants. A copy holds
what the file system had sent to the disk by then, as if the power had gone; from there the same command must go on. A
cache in the disk itself is taken to survive.

`python tests/endurance/power.py`, as root on Linux, with btrfs-progs, e2fsprogs and xfsprogs: the disk is an image that
lies on btrfs, which copies a file at one instant.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos import LONGEST, PATIENCE, Grid, Toll, complaints, finish, settle

GRID = (
    "bench --clients 10 --byzantine 2 --rounds 60 --model linear --attacks mimic,strike"
    " --aggregators mean,cclip,nnm+rfa,bucketing+median"
)
SIZE = 512 << 20  # bytes of a disk: XFS takes 300 MB at least


def power(folder: Path, kind: str, cuts: int, rng: random.Random) -> Toll:
    """Cut the power of sweeps on a disk with this file system, go on from each cut, compare with an undisturbed one."""
    toll, disk = Toll(), folder / "disk"
    whole = Grid(folder / "whole", GRID, [2])
    finish(whole, toll)
    records = whole.records
    while toll.kills.total() < cuts and not toll.errors:
        toll.grids += 1
        empty(disk, SIZE)
        run(f"mkfs.{kind}", "-q", disk)
        with mounted(disk, folder / "place") as place:
            one = Grid(folder / str(toll.grids), GRID, [2], place / "out")
            (bench,) = one.start()
            taken: list[tuple[Path, list[str]]] = []
            while bench.poll() is None and toll.kills.total() < cuts:
                time.sleep(rng.uniform(0, LONGEST))
                if one.log:
                    taken.append((folder / f"{toll.grids}.cut{len(taken)}", one.stored))
                    run("cp", "--reflink=always", disk, taken[-1][0])
                    toll.kills["cuts"] += 1
            toll.errors += complaints(bench.communicate(timeout=10 * PATIENCE)[1])
        for copy, stored in taken:
            with mounted(copy, folder / "place") as place:
                cut = Grid(copy.with_suffix(copy.suffix + ".log"), GRID, [2], place / "out")
                toll.lost += sum(cut.records.get(digest) != records[digest] for digest in stored)
                settle(cut, whole, toll)
            copy.unlink()
    return toll


def empty(disk: Path, size: int) -> None:
    disk.unlink(missing_ok=True)
    with disk.open("xb") as file:
        file.truncate(size)


@contextmanager
def mounted(disk: Path, place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop", disk, place)
    try:
        yield place
    finally:
        run("umount", place)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=25, help="for each file system")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wrong = 0
    print("| file system | cuts | sweeps | runs | begun | resumed | lost | computed again | differing | errors |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for kind in ("ext4", "xfs"):
        with tempfile.TemporaryDirectory() as folder:
            empty(Path(folder) / "btrfs", 8 << 30)
            run("mkfs.btrfs", "-q", Path(folder) / "btrfs")
            with mounted(Path(folder) / "btrfs", Path(folder) / "copying") as copying:
                toll = power(copying, kind, given.cuts, random.Random(given.seed))
        wrong += toll.show(kind, toll.kills.total())
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
