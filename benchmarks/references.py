"""The reference values of skew: honest updates of unattacked runs under several partitions.

    gradskew bench --attacks none --rules mean --partition P --seeds 5 --out DIR/...   # for each data set and P
    python benchmarks/references.py DIR > src/gradskew/skew/references.csv

Each line is one measure on one data set under one partition: the mean over rounds of each run, then the lowest, the
mean and the highest over seeds.
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from gradskew.core.grammar import with_options
from gradskew.report.lens import PROJECTED, Lens
from gradskew.runs.store import Store

MEASURES = (*PROJECTED, "shift", "density", "principal_share")


def main(folder: Path) -> None:
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for path in sorted(folder.rglob("runs")):
        for record in Store(path.parent).all():
            lens = Lens(record)
            dataset = record.spec["dataset"].partition("(")[0]
            dealt = {key: value for key, value in record.spec["partition"].items() if key != "min_samples"}
            for measure in MEASURES:
                estimate = lens.estimate(measure)
                if estimate is not None:
                    values[record.spec["dataset"].partition("(")[0], with_options(dealt), measure].append(
                        estimate.value
                    )
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["dataset", "partition", "measure", "seeds", "low", "mean", "high"])
    for (dataset, partition, measure), found in sorted(values.items()):
        numbers = [f"{value:.4f}" for value in (min(found), fmean(found), max(found))]
        rows.writerow([dataset, partition, measure, len(found), *numbers])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
