"""Parts that sections share: a table of texts, numbers over rounds, measures of a lens, the updates in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...skew import Picture
from ..lens import Lens
from ..table import count
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
LEGEND = [(name, svg.mark(kind)) for name, kind in KINDS]


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
) -> Markup:
    """Draw series over rounds, and in grey behind them the reference.

    unit: of the values. low: a value that the axis includes.
    """
    lines = [svg.Line(reference[0], "pale", *reference[1:])] if reference else []
    lines += [svg.Line(name, svg.line_style(i), rounds, values) for i, (name, rounds, values) in enumerate(series)]
    return svg.lines(label, lines, unit=unit, at_least=low, legend=len(lines) > 1)


def of_lenses(named: Sequence[tuple[str, Lens]], reference: Lens | None) -> list[Figure]:
    """Draw kappa over rounds for each lens; the weight of the Byzantine rows and the skewness for the first.

    reference: the same without an attack.
    """
    kappas = [(name, lens.rounds, lens.series("kappa")) for name, lens in named]
    alone = None if reference is None else ("without an attack", reference.rounds, reference.series("kappa"))
    grey = "" if reference is None else " Grey: without an attack."
    first = named[0][1]
    weighed = [metrics["byzantine_share"] for metrics in first.record.rounds if metrics.get("lens")]
    weights: list[Series] = [
        ("share of the weight", first.rounds, _percent(weighed)),
        ("part of them chosen", first.rounds, _percent(first.series("selected"))),
    ]
    skewness = svg.Line("skewness", svg.line_style(0), first.rounds, first.series("skewness"))
    band = svg.Band(first.rounds, first.band("skewness"))
    return [
        (
            by_round("Empirical kappa by round", kappas, alone, unit="kappa", low=0),
            f"Empirical kappa: squared distance of the result from the honest mean, over the honest spread.{grey}",
        ),
        (
            by_round("Weight of the Byzantine rows", weights, unit="%", low=0),
            "Byzantine rows: their share of the weight, and the part of them that was chosen.",
        ),
        (
            svg.lines("Skewness by round", [skewness], [band], unit="skewness", at_least=0),
            "Skewness of the honest updates towards their median, with its 95 % interval; 0 is even.",
        ),
    ]


def plane(picture: Picture) -> Markup:
    """Draw a picture's updates as points; the principal components have axes with a scale, an embedding has none."""
    skewed = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if inside]
    other = [point for point, inside in zip(picture.honest, picture.skewed, strict=True) if not inside]
    aggregate = [picture.aggregate] if picture.aggregate else []
    of_kind = (skewed, other, sorted(set(picture.byzantine)), [picture.mean], aggregate)
    kinds = [(name, kind, points) for (name, kind), points in zip(KINDS, of_kind, strict=True) if points]
    label = f"Updates of round {picture.round + 1} in the plane"
    if picture.method == "lle":
        return svg.points(label, kinds, axes=("LLE 1 (no scale)", "LLE 2"))
    return svg.points(label, kinds, axes=("principal component 1", "principal component 2"), unit="× spread")


def describe_plane(picture: Picture, attack: str, rule: str) -> str:
    """Return the caption of a picture: round, method, attack, rule, and what the crosses are."""
    method = "LLE (distances mean little)" if picture.method == "lle" else "principal components (in honest spreads)"
    under = "no attack" if attack == "none" else attack
    different = len(set(picture.byzantine))
    rows = count(len(picture.byzantine), "Byzantine update")
    if different == 1 and len(picture.byzantine) > 1:
        crosses = f" The cross is {rows}, all equal."
    else:
        crosses = f" The crosses are {rows}." if different > 1 else " The cross is 1 Byzantine update." if rows else ""
    return f"Round {picture.round + 1}, {method}: {under} against {rule}.{crosses if different else ''}"


def _percent(values: svg.Values) -> list[float | None]:
    return [None if value is None else 100 * value for value in values]
