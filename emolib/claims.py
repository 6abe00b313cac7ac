"""Claims: what the paper says, what we measured, and the rule that turns the two into a verdict.

The ledger (`emolib/paper/claims.yaml`) was written before the results and holds each claim's rule.
An experiment supplies the evidence; nobody types a verdict.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from emolib import stats
from emolib.errors import EmolibError

Verdict = Literal["replicated", "partly", "not replicated", "instrument not valid", "not run"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Record):
    """How evidence becomes a verdict.

    `share_of_paper`: replicated when the estimate is beyond its null and reaches `share` of the
    paper's value; partly when it is beyond its null only.
    `expected_sign`: replicated when the estimate has the `sign`, its interval excludes zero, it is
    beyond its null and exceeds its control; partly when it fails only against the control.
    """

    kind: Literal["share_of_paper", "expected_sign"]
    share: float = 0.8
    sign: Literal[-1, 1] = 1


class Entry(_Record):
    """One line of the ledger: the paper's claim, and how it is tested here."""

    id: str
    chapter: str
    section: str
    statement: str
    paper: float | None
    paper_says: str
    measure: str
    unit: str
    n_of: str
    held_against: str
    rule: Rule
    fixed_before: str


class Null(_Record):
    """What the estimate was held against: the middle 95 % of `n` null draws, and a two-sided p."""

    kind: str
    n: int
    low: float
    high: float
    p: float


class Control(_Record):
    """The same measure where nothing should happen, and the interval of the difference to it."""

    estimate: float
    ci: tuple[float, float]
    difference_ci: tuple[float, float]


class Evidence(_Record):
    """What an experiment found for one claim. `exploratory` names choices made after looking."""

    id: str
    estimate: float
    ci: tuple[float, float]
    n: int = Field(ge=1)
    null: Null
    control: Control | None = None
    valid: bool = True
    exploratory: str | None = None


class Claim(_Record):
    """A ledger entry with its evidence and verdict: one line of `claims.json`."""

    id: str
    statement: str
    section: str
    paper: float | None
    paper_says: str
    unit: str
    estimate: float | None = None
    ci: tuple[float, float] | None = None
    n: int | None = None
    n_of: str
    null: Null | None = None
    control: Control | None = None
    rule: str
    exploratory: str | None = None
    verdict: Verdict = "not run"


def held_against(kind: str, estimate: float, draws: np.ndarray) -> Null:
    """The null of an estimate from its draws, (n_draws,): their middle 95 % and a two-sided p."""
    low, high = stats.band(draws)
    return Null(kind=kind, n=len(draws), low=low, high=high, p=stats.p_two_sided(estimate, draws))


@cache
def ledger() -> dict[str, Entry]:
    """Every claim that this project tests, by id, in the order of the paper."""
    text = (resources.files("emolib") / "paper" / "claims.yaml").read_text(encoding="utf-8")
    entries = [Entry(**entry) for entry in yaml.safe_load(text)]
    return {entry.id: entry for entry in entries}


def judge(evidence: Evidence) -> Claim:
    """Apply the ledger's rule. Raises EmolibError for an id that the ledger does not have."""
    if evidence.id not in ledger():
        raise EmolibError(f"claim {evidence.id!r} is not in the ledger; add it there first")
    entry = ledger()[evidence.id]
    found = evidence.model_dump(include={"estimate", "ci", "n", "null", "control", "exploratory"})
    return _blank(entry).model_copy(
        update={
            **{k: v for k, v in found.items() if k not in ("null", "control")},
            "null": evidence.null,
            "control": evidence.control,
            "verdict": _verdict(entry, evidence),
        }
    )


def complete(claims: Iterable[Claim]) -> list[Claim]:
    """One claim per ledger entry, in its order; those without evidence are `not run`."""
    found = {claim.id: claim for claim in claims}
    return [found.get(entry.id, _blank(entry)) for entry in ledger().values()]


def explain(rule: Rule, paper: float | None) -> str:
    """The decision rule in words."""
    if rule.kind == "share_of_paper":
        bound = f"at {'most' if paper < 0 else 'least'} {rule.share * paper:.2f}"
        return f"replicated: beyond the null and {bound}; partly: beyond the null only"
    word = "above" if rule.sign > 0 else "below"
    return (
        f"replicated: {word} zero with its whole interval, outside the null band, and "
        f"{word} the control; partly: all but the control"
    )


def _blank(entry: Entry) -> Claim:
    return Claim(
        id=entry.id,
        statement=entry.statement,
        section=entry.section,
        paper=entry.paper,
        paper_says=entry.paper_says,
        unit=entry.unit,
        n_of=entry.n_of,
        rule=explain(entry.rule, entry.paper),
    )


def _verdict(entry: Entry, evidence: Evidence) -> Verdict:
    if not evidence.valid:
        return "instrument not valid"
    rule = entry.rule
    if rule.kind == "share_of_paper":
        sign = -1 if entry.paper < 0 else 1
        beyond = evidence.null.high if sign > 0 else -evidence.null.low
        if not sign * evidence.estimate > beyond:
            return "not replicated"
        return "replicated" if sign * evidence.estimate >= rule.share * abs(entry.paper) else "partly"
    signed = sorted(rule.sign * bound for bound in evidence.ci)
    beyond = evidence.null.high if rule.sign > 0 else -evidence.null.low
    if signed[0] <= 0 or rule.sign * evidence.estimate <= beyond:
        return "not replicated"
    if evidence.control is None:
        return "replicated"
    over_control = sorted(rule.sign * bound for bound in evidence.control.difference_ci)
    return "replicated" if over_control[0] > 0 else "partly"
