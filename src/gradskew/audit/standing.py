"""Lay out a ranking of a user's rules and attacks: the verdict, tables and audit.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from ..report.standing import Standing
from .ranking import Ranking
from .verdict import statements

RULE_HEAD = (
    "rule",
    "remark",
    "without attack %",
    "found by",
    "worst found %",
    "federations",
    "points lost",
    "on average",
    "largest kappa",
    "under",
    "Byzantine weight %",
    "honest shut out",
    "time / mean's",
)
ATTACK_HEAD = ("attack", "points, on average", "at most", "of")
LEFT_HEAD = ("attack", "left %, on average", "at least", "of")


@dataclass(frozen=True)
class AuditSheet:
    """A table of texts, with a flag for each line: whether its rule or attack is an audited one."""

    title: str
    head: Sequence[str]
    lines: Sequence[tuple[bool, Sequence[str]]]


@dataclass(frozen=True)
class Audit(Ranking):
    """The ranking with its verdict and its tables, for screen, page and audit.json."""

    @property
    def verdict(self) -> list[str]:
        """Return the ranks of the audited rules and attacks, in sentences."""
        return statements(self)

    @property
    def sheets(self) -> list[AuditSheet]:
        """Return the tables of the rules and, if an attack is audited, of the attacks."""
        kappa = self.table.least_kappa
        least = "" if kappa is None else f" (no rule can guarantee a kappa below {kappa:.2f})"
        order = ", highest worst found first" if self.table.comparable else ""
        rules = [
            (self.is_audited("rule", each.rule), _texts(each, self.unranked.get(each.rule, "")))
            for each in self.standings
        ]
        known = [i for i in range(len(RULE_HEAD)) if any(texts[i] for _, texts in rules)]
        lines = [(audited, [texts[i] for i in known]) for audited, texts in rules]
        sheets = [AuditSheet(f"Rules{order}{least}", [RULE_HEAD[i] for i in known], lines)]
        if any(each.audited for each in self.attack_standings):
            attacks = [
                (each.audited, [each.attack, _one_decimal(each.average_damage), _one_decimal(each.damage), each.rule])
                for each in self.attack_standings
            ]
            sheets.append(AuditSheet("Attacks, the most harmful to the built-in rules first", ATTACK_HEAD, attacks))
        elif left := self.left:
            title = "Attacks, by what they leave of the built-in rules; what they cost is not known"
            lines = [(self.is_audited("attack", name), [name, *texts]) for name, texts in left]
            sheets.append(AuditSheet(title, LEFT_HEAD, lines))
        return sheets

    @property
    def left(self) -> list[tuple[str, list[str]]]:
        """Return what each attack leaves of the built-in rules, the least first; empty if no attack is audited.

        That is the average accuracy, the least, and the rule of that. Attacks that not all rules met are left out.
        """
        attacks = [name for name in self.table.attacks if name not in ("none", *self.table.never_run)]
        builtin = [each for each in self.table.standings.values() if not self.is_audited("rule", each.rule)]
        if not builtin or not any(self.is_audited("attack", name) for name in attacks):
            return []
        cells = {
            name: {each.rule: each.attacked[name] for each in builtin}
            for name in attacks
            if all(name in each.attacked for each in builtin)
        }
        average = {name: fmean(cell.mean for cell in of.values()) for name, of in cells.items()}
        least = {name: min(of, key=lambda rule: of[rule].mean) for name, of in cells.items()}
        return [
            (name, [f"{average[name]:.1f}", cells[name][least[name]].mean_text, least[name]])
            for name in sorted(cells, key=lambda name: average[name])
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the content of audit.json."""
        return {
            "federation": self.table.federation,
            "findings": {name: each.to_json() for name, each in self.inspections.items()},
            "rules": [
                {
                    "audited": self.is_audited("rule", each.rule),
                    "remark": self.unranked.get(each.rule, ""),
                    **_numbers(each),
                }
                for each in self.standings
            ],
            "attacks": [asdict(each) for each in self.attack_standings],
            "least_kappa": self.table.least_kappa,
            "verdict": self.verdict,
        }


def _numbers(standing: Standing) -> dict[str, Any]:
    """Return a rule's entry in audit.json; kappa is the largest mean over attacks, under kappa_attack.

    left: the worst found, in so many federations, by these attacks: for each seed.
    """
    usual = standing.usual
    return {
        "rule": standing.rule,
        "usual": usual.mean if usual else None,
        "attack": standing.attack,
        "left": standing.worst.mean,
        "federations": standing.federations,
        "found_by": {str(seed): attack for seed, attack in standing.found_by.items()},
        "damage": standing.damage,
        "average_damage": standing.average_damage,
        "kappa": next(iter(standing.kappas.values()), None),
        "kappa_attack": next(iter(standing.kappas), ""),
        "share": standing.share,
        "shut_out": standing.shut_out,
        "cost": standing.cost,
    }


def _texts(standing: Standing, remark: str) -> list[str]:
    """Return a rule's line of the table, a text for each entry of `RULE_HEAD`."""
    line = _numbers(standing)
    share = None if line["share"] is None else 100 * line["share"]
    return [
        line["rule"],
        remark,
        "–" if standing.usual is None else standing.usual.mean_text,
        ", ".join(standing.finders),
        standing.worst.mean_text,
        str(standing.federations),
        *(_one_decimal(line[key]) for key in ("damage", "average_damage")),
        "–" if line["kappa"] is None else f"{line['kappa']:.2f}",
        line["kappa_attack"],
        *("–" if value is None else f"{value:.1f}" for value in (share, line["shut_out"], line["cost"])),
    ]


def _one_decimal(value: float | None) -> str:
    """Return a number with one decimal, a dash for None; zero has no minus."""
    return "–" if value is None else f"{round(value, 1) + 0.0:.1f}"
