"""Tune options of a federation by an Optuna study on a validation part of the training inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from ..core.errors import InputError, check, check_number
from ..core.importing import import_extra
from ..federation.run import Run
from ..trackers.log import Log
from .cluster import Cluster
from .product import federations, with_source
from .record import Record
from .search import Dimension, filled, read_search, values_text
from .settings import by_name, check_names, make_runs
from .sweeps import Progress, sweep
from .tuned import Trial, Tuned

OUT = "gradskew-tuned"
SEARCH = {"lr": "0.01:1:log", "momentum": "0,0.9"}
DEFAULTS = {"attacks": "none", "seeds": "3", "validation": 0.2, "lens": False}
TRIALS = 30
TOGETHER = 5  # trials that are drawn before the first of them is played; fixed, so that workers change no result
SAMPLER_SEED = 0

OnTrial = Callable[[Trial], None]
OnProgress = Callable[[Progress], None]


def tune(
    *,
    search: str | Mapping[str, Any] | None = None,
    trials: int = TRIALS,
    out: Path | str = OUT,
    workers: int | Cluster = 1,
    on_trial: OnTrial = lambda trial: None,
    on_progress: OnProgress = lambda progress: None,
    log: Any = None,
    **options: Any,
) -> Tuned:
    """Search the options of one rule's federation for the largest accuracy on held-out training inputs.

    The options are those of `bench`, one value each, with one rule. search: what is searched: options of local training
    and of the server by name, such as `lr=0.01:1:log,batch=16:64,momentum=0,0.9`, and placeholders in the text of the
    rule, `local`, `server` and `model`: `rule="nnm+cclip(tau={tau})"` with `tau=0.1:100:log`; or a mapping, `{"lr":
    "0.01:1:log", "momentum": [0, 0.9]}`. Default: lr from 0.01 to 1, and momentum 0 or 0.9. A trial is judged by the
    mean accuracy over `seeds` (3) on the share `validation` (0.2) of the training inputs, under that of the `attacks`
    (none) for which it is lowest. The test inputs take no part. Values are drawn by Optuna's TPESampler with a fixed
    seed, five trials at a time, whatever `workers` is; runs that `out` holds are not run again, so the same call goes
    on where it was interrupted, and one of more trials where it ended. on_trial: is called with each finished trial.
    workers, on_progress, log: as of `sweep`. Raises InputError for what cannot be searched or run, and without Optuna.
    """
    study = Study.of(search, options)
    return study.play(trials, out, workers=workers, on_trial=on_trial, on_progress=on_progress, log=log)


@dataclass(frozen=True)
class Study:
    """A study before its first trial: the options that were given, by name, and what is searched."""

    given: Mapping[str, Any]
    search: Sequence[Dimension]

    @classmethod
    def of(cls, search: str | Mapping[str, Any] | None, options: Mapping[str, Any]) -> Study:
        """Return the study of these arguments of `tune`; InputError for what cannot be searched."""
        _optuna()  # if it is missing, that is said first
        check_names("tune", options)
        given = by_name(options)
        check("rules" in given, "tune needs a rule: rule = median, or rule = mean for plain averaging")
        nothing = "validation = 0 holds out nothing to judge by, and the test inputs take no part"
        check(given.get("validation") != 0, nothing)
        usual = {name: values for name, values in SEARCH.items() if name not in given}
        dimensions = read_search(usual if search is None else search, given)
        check(len(dimensions) > 0, f"nothing is searched: {' and '.join(SEARCH)} are given, and no search")
        return cls(given, dimensions)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The options of all runs, but for the values of a trial."""
        parts = federations({**DEFAULTS, **self.given})
        check(len(parts) == 1, "tune takes one value of each option: give lists to the search, as lr=0.1,0.2")
        return with_source(parts[0], {})

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of one trial; InputError if those of the ends of the ranges, or of a choice, cannot be made."""
        longest = max(len(dimension.ends) for dimension in self.search)
        ends = [{each.name: each.ends[min(i, len(each.ends) - 1)] for each in self.search} for i in range(longest)]
        first, *_ = map(self.runs_of, ends)
        rules = dict.fromkeys(run.aggregator.name for run in first)
        check(len(rules) == 1, f"tune takes one rule, not {len(rules)}: {', '.join(rules)}")
        return first

    def runs_of(self, values: Mapping[str, Any]) -> list[Run]:
        """Return the runs of a trial with these values: every attack with every seed."""
        try:
            return make_runs(filled(self.settings, values))
        except InputError as error:
            raise InputError(f"{values_text(values)}: {error}") from error

    def play(
        self,
        trials: int,
        out: Path | str,
        *,
        workers: int | Cluster,
        on_trial: OnTrial,
        on_progress: OnProgress,
        log: Any,
    ) -> Tuned:
        """Play the trials and return the result: see `tune`."""
        check_number("trials", trials, at_least=1, whole=True)
        optuna = _optuna()
        space = {each.name: _distribution(optuna, each) for each in self.search}
        study, log, done = _make_study(optuna), Log.of(log, Path(out)), list[Trial]()
        progress = _StudyProgress(on_progress, len(self.runs), sum(run.rounds for run in self.runs))
        while len(done) < trials:
            asked = [study.ask(space) for _ in range(min(TOGETHER, trials - len(done)))]
            values = [{each.name: each.value(one.params[each.name]) for each in self.search} for one in asked]
            grids = [self.runs_of(each) for each in values]
            progress.begin(later=trials - len(done) - len(asked))
            runs = [run for grid in grids for run in grid]
            records = iter(sweep(runs, out, workers=workers, on_progress=progress, log=log))
            for one, drawn, grid in zip(asked, values, grids, strict=True):
                accuracy, attack = _lowest([next(records) for _ in grid])
                study.tell(one, accuracy)
                done.append(Trial(len(done) + 1, drawn, accuracy, attack))
                on_trial(done[-1])
        seeds = list(dict.fromkeys(run.seed for run in self.runs))
        attacks = list(dict.fromkeys(run.attack.name for run in self.runs))
        return Tuned(self.given, self.search, seeds, attacks, self.settings["validation"], done)


class _StudyProgress:
    """Reports the progress of a study from that of its sweeps. runs, rounds: of one trial."""

    def __init__(self, on_progress: OnProgress, runs: int, rounds: int):
        self.on_progress, self.runs, self.rounds, self.later = on_progress, runs, rounds, 0
        self.before = self.now = Progress(0, 0, 0, 0)

    def begin(self, *, later: int) -> None:
        """Begin the next sweep. later: the number of trials after it."""
        self.before, self.later = self.now, later

    def __call__(self, sweep: Progress) -> None:
        before, later = self.before, self.later
        self.now = Progress(
            before.done + sweep.done,
            before.done + sweep.runs + later * self.runs,
            before.rounds_done + sweep.rounds_done,
            before.rounds_done + sweep.rounds + later * self.rounds,
        )
        self.on_progress(self.now)


def _lowest(records: Sequence[Record]) -> tuple[float, str]:
    """Return the lowest accuracy of an attack, the mean over its seeds, and the attack."""
    attacks: dict[str, list[float]] = {}
    for record in records:
        attacks.setdefault(record.spec["attack_name"], []).append(record.accuracy)
    return min((fmean(accuracies), attack) for attack, accuracies in attacks.items())


def _optuna() -> Any:
    return import_extra("optuna", "tune", "tune")


def _make_study(optuna: Any) -> Any:
    """Return a study in memory, the same at every call: what is stored are the runs of its trials."""
    sampler = optuna.samplers.TPESampler(seed=SAMPLER_SEED, constant_liar=True)
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(level)


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    if dimension.choices:
        return optuna.distributions.CategoricalDistribution(dimension.choices)
    kind = optuna.distributions.IntDistribution if dimension.whole else optuna.distributions.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)
