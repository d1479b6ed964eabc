"""Parts that sections share: a table of texts, numbers over rounds, measures of a lens, the updates in the plane."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup

from ...skew import Picture
from ...skew.heterogeneity import most_divergence
from ..described import count
from ..lens import Lens
from . import svg

Figure = tuple[Markup, str]  # a chart and its caption
Series = tuple[str, Sequence[int], svg.Values]  # a name, rounds, and a value for each

KINDS = (
    ("honest updates, skewed (S)", "skewed"),
    ("other honest updates", "other"),
    ("Byzantine updates", "byzantine"),
    ("mean of the honest updates", "mean"),
    ("result of the rule", "aggregate"),
)


# Of each measure of how much the honest clients differ that is drawn over rounds: the chart's label, and its caption.
DIFFERENCES = {
    "spread": ("gradient divergence", "Gradient divergence: typical distance of an honest update from their mean"),
    "relative_divergence": ("relative divergence", "Gradient divergence over the length of the honest mean"),
    "dissimilarity": ("B-dissimilarity", "B-dissimilarity: typical length of an honest update over that of their mean"),
    "cosine": ("mean cosine", "Mean cosine of two honest updates"),
    "unit_mean": ("length of the mean direction", "Length of the mean of the honest updates, each scaled to length 1"),
    "gradient_relative_divergence": (
        "relative divergence of gradients",
        "Divergence of full-batch gradients over the length of their mean",
    ),
    "gradient_dissimilarity": (
        "B-dissimilarity of gradients",
        "B-dissimilarity of full-batch gradients: typical length over that of their mean",
    ),
    "gradient_cosine": ("mean cosine of gradients", "Mean cosine of two full-batch gradients"),
    "label_distance": ("variation of labels", "Mean total variation of labels of the round's honest clients"),
    "effective_classes": ("effective classes", "Effective classes of an honest client of the round"),
    "skewness": ("skewness", "Skewness of the honest updates towards their median"),
}
# Where updates that are all clipped to one length stop making progress, from f / (n - f): its name, value and meaning.
LIMITS: dict[str, Callable[[float], tuple[str, float, str]]] = {
    "unit_mean": lambda ratio: (
        "f / (n - f)",
        ratio,
        "at or below it f clients can undo what the others' updates, clipped to one length, make together",
    ),
    "relative_divergence": lambda ratio: (
        "√((n - f)² / f² - 1)",
        most_divergence(ratio),
        "at or above it the same holds where the honest updates are equally long",
    ),
}


def breakable(name: str) -> Markup:
    """Return a text that a narrow column may break behind a comma or a plus, but not in a number such as 1e+06."""
    return Markup("<wbr>").join(re.split(r"(?<=,)|(?<=\+)(?=\D)", name))


@dataclass(frozen=True)
class Sheet:
    """A table of texts. The first text of a row is its heading."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def by_round(
    label: str,
    series: Sequence[Series],
    reference: Series | None = None,
    *,
    unit: str,
    low: float | None = None,
    limit: tuple[str, float] | None = None,
) -> Markup:
    """Draw series over rounds, and in grey behind them the reference.

    unit: of the values. low: a value that the axis includes. limit: the name and the value of a dashed line across.
    """
    lines = [svg.Line(reference[0], "pale", *reference[1:])] if reference else []
    lines += [svg.Line(name, svg.line_style(i), rounds, values) for i, (name, rounds, values) in enumerate(series)]
    if limit is not None and any(value is not None for line in lines for value in line.values):
        rounds = [round for line in lines for round in line.rounds]
        lines.append(svg.Line(limit[0], "limit", [min(rounds), max(rounds)], [limit[1]] * 2))
    return svg.lines(label, lines, unit=unit, at_least=low, legend=len(lines) > 1)


def mean_by_round(name: str, several: Iterable[tuple[Sequence[int], svg.Values]]) -> Series:
    """Return the mean, round by round, of the known values of several series over rounds, as one series."""
    known: dict[int, list[float]] = {}
    for rounds, values in several:
        for round, value in zip(rounds, values, strict=True):
            of_round = known.setdefault(round, [])
            if value is not None:
                of_round.append(value)
    return name, sorted(known), [fmean(known[round]) if known[round] else None for round in sorted(known)]


def grey(seeds: int) -> str:
    """Return the sentence of a caption on the grey curve. seeds: how many it is the mean of; 0 for no curve."""
    return "" if not seeds else f" Grey: without an attack{over_seeds(seeds)}."


def over_seeds(seeds: int) -> str:
    return ", mean over seeds" if seeds > 1 else ""


def measure_by_round(key: str, lenses: Sequence[Lens], references: Sequence[Lens] = ()) -> Figure:
    """Draw a measure of `DIFFERENCES` over rounds, the mean over lenses, with its line of `LIMITS` if it has one.

    references: the lenses of the same without an attack.
    """
    label, caption = DIFFERENCES[key]
    series, usual = (
        mean_by_round(name, [(lens.rounds, lens.series(key)) for lens in several])
        for name, several in ((label, lenses), ("without an attack", references))
    )
    ratios = {lens.byzantine_ratio for lens in lenses}
    ratio = ratios.pop() if len(ratios) == 1 else None
    limit = None if ratio is None or key not in LIMITS else LIMITS[key](ratio)
    dashed = "" if limit is None else f" Dashed: {limit[0]} = {limit[1]:.2g}; {limit[2]}."
    chart = by_round(
        f"{label} by round", [series], usual if references else None, unit=label, low=0, limit=limit and limit[:2]
    )
    return chart, f"{caption}{over_seeds(len(lenses))}.{dashed}{grey(len(references))}"


def of_lenses(
    named: Sequence[tuple[str, Lens]], references: Sequence[Lens], least_kappa: float | None = None
) -> list[Figure]:
    """Draw over rounds kappa for each lens, and means over lenses: progress, mean direction, weight, skewness.

    named: the lens of each seed, with a name. references: the lenses of the same without an attack. least_kappa: what
    no rule can guarantee to stay below, as a line.
    """
    least = f" Dashed: f / (n - 2 f) = {least_kappa:.2f}, the least that a rule can guarantee." if least_kappa else ""
    progress = [(lens.rounds, lens.series("progress")) for _, lens in named]
    usual = [(lens.rounds, lens.series("progress")) for lens in references]
    lenses = [lens for _, lens in named]
    kappas = [(name, lens.rounds, lens.series("kappa")) for name, lens in named]
    others = [(lens.rounds, lens.series("kappa")) for lens in references]
    weighed = [(lens.rounds, _weights(lens)) for _, lens in named]
    chosen = [(lens.rounds, _percent(lens.series("selected"))) for _, lens in named]
    skewness = mean_by_round("skewness", [(lens.rounds, lens.series("skewness")) for _, lens in named])
    bands = [svg.Band(lens.rounds, lens.band("skewness")) for _, lens in named] if len(named) == 1 else []
    return [
        (
            by_round(
                "Empirical kappa by round",
                kappas,
                mean_by_round("without an attack", others) if others else None,
                unit="kappa",
                low=0,
                limit=("f / (n - 2 f)", least_kappa) if least_kappa else None,
            ),
            "Empirical kappa: squared distance of the result from the honest mean, over the honest spread."
            f"{least}{grey(len(references))}",
        ),
        (
            by_round(
                "Progress by round",
                [mean_by_round("progress", progress)],
                mean_by_round("without an attack", usual) if usual else None,
                unit="progress",
                low=0,
            ),
            "Progress: what the result makes of the honest mean's own step, along it"
            f"{over_seeds(len(named))}; below 0 the round leads back."
            f"{grey(len(references))}",
        ),
        measure_by_round("unit_mean", lenses, references),
        (
            by_round(
                "Weight of the Byzantine rows",
                [mean_by_round("share of the weight", weighed), mean_by_round("part of them chosen", chosen)],
                unit="%",
                low=0,
            ),
            f"Byzantine rows: their share of the weight, and the part of them that was chosen{over_seeds(len(named))}.",
        ),
        (
            svg.lines(
                "Skewness by round",
                [svg.Line(skewness[0], svg.line_style(0), *skewness[1:])],
                bands,
                unit="skewness",
                at_least=0,
            ),
            f"Skewness of the honest updates towards their median{over_seeds(len(named))}"
            f"{', with its 95 % interval' * len(bands)}; 0 is even.",
        ),
    ]


def _weights(lens: Lens) -> list[float | None]:
    """Return the Byzantine rows' share of the weight in percent, for each of the lens's rounds."""
    shares = lens.record.columns["byzantine_share"]
    return _percent([shares[round] for round in lens.rounds])


def plane(picture: Picture) -> Markup:
    """Draw a picture's updates as points; the principal components have axes with a scale, an embedding has none."""
    skewed = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if inside]
    other = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if not inside]
    aggregate = [picture.aggregate] if picture.aggregate else []
    of_kind = (skewed, other, sorted(set(picture.byzantine)), [picture.mean], aggregate)
    kinds = [(name, kind, points) for (name, kind), points in zip(KINDS, of_kind, strict=True) if points]
    label = f"Updates of round {picture.round + 1} by {picture.method.upper()}"
    if picture.method == "lle":
        return svg.points(label, kinds, axes=("LLE 1 (no scale)", "LLE 2"))
    return svg.points(label, kinds, axes=("principal component 1", "principal component 2"), unit="× spread")


def describe_plane(picture: Picture, attack: str, rule: str, seed: str = "") -> str:
    """Return the caption of a picture: round, method, attack, rule, and what the crosses are.

    seed: which one it is of, if there are several.
    """
    method = "LLE (distances mean little)" if picture.method == "lle" else "principal components (in honest spreads)"
    under = "no attack" if attack == "none" else attack
    different = len(set(picture.byzantine))
    rows = count(len(picture.byzantine), "Byzantine update")
    if different == 1 and len(picture.byzantine) > 1:
        crosses = f" The cross is {rows}, all equal."
    else:
        crosses = f" The crosses are {rows}." if different > 1 else " The cross is 1 Byzantine update." if rows else ""
    where = f"Round {picture.round + 1}{f', {seed}' if seed else ''}"
    return f"{where}, {method}: {under} against {rule}.{crosses if different else ''}"


def _percent(values: svg.Values) -> list[float | None]:
    return [None if value is None else 100 * value for value in values]
