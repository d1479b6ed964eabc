"""A few kills of those of which `make chaos` does hundreds."""

from pathlib import Path

import pytest
from chaos import chaos

GRID = "bench --clients 6 --byzantine 1 --rounds 60 --model linear --attacks mimic --aggregators cclip,nnm+rfa"
KILLS = 2


@pytest.mark.processes
def test_killed_at_random_instants_it_ends_with_the_same_records(tmp_path: Path) -> None:
    toll = chaos(tmp_path, KILLS, 0, (2, 1), GRID)  # two benches on one store, of two workers and of one
    assert toll.wrong == 0, toll
    assert toll.kills.total() >= KILLS
    assert toll.begun > toll.runs, toll
