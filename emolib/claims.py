"""Claims: what the paper says, what we measured, and the rule that turns the two into a verdict.

The ledger (`emolib/paper/claims/`, one file per section of the paper) was written before the results
and holds each claim's rule. An experiment supplies the evidence; nobody types a verdict.
"""

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.stats import false_discovery_control

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
    `at_most`, for a claim that something is small: replicated when the whole interval is nearer to
    zero than `bound`; partly when the estimate is and its interval is not. The null is only reported.
    """

    kind: Literal["share_of_paper", "expected_sign", "at_most"]
    share: float = 0.8
    sign: Literal[-1, 1] = 1
    bound: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _bound_goes_with_at_most(self):
        if (self.kind == "at_most") != (self.bound is not None):
            raise ValueError("a rule has a bound if its kind is at_most, and only then")
        return self


class Entry(_Record):
    """One line of the ledger: the paper's claim, and how it is tested here.

    `chapter` is the experiment that tests it; where there is none yet, `missing` says in a few words
    what it would take. An entry with both is tested by that chapter where what is missing is at hand,
    and may stay `not run` elsewhere. `exploratory` names choices that were made after looking.
    """

    id: str
    chapter: str | None = None
    missing: str | None = None
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
    exploratory: str | None = None

    @model_validator(mode="after")
    def _tested_or_not(self):
        if self.chapter is None and self.missing is None:
            raise ValueError(f"{self.id}: give the chapter that tests it, or what is missing, or both")
        return self

    @model_validator(mode="after")
    def _share_of_something(self):
        if self.rule.kind == "share_of_paper" and not self.paper:
            raise ValueError(f"{self.id}: share_of_paper needs a value of the paper other than zero")
        return self


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
    """What an experiment found for one claim."""

    id: str
    estimate: float
    ci: tuple[float, float]
    n: int = Field(ge=1)
    null: Null
    control: Control | None = None
    valid: bool = True


class Claim(_Record):
    """A ledger entry with its evidence and verdict: one line of `claims.json`.

    `p_adjusted` is the null's p after Benjamini and Hochberg over the claims of its chapter.
    """

    id: str
    chapter: str | None
    missing: str | None = None
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
    p_adjusted: float | None = None
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
    """Every claim of the paper that an open model can speak to, by id, in the order of the paper.

    Raises EmolibError when an id is there twice.
    """
    files = sorted((resources.files("emolib") / "paper" / "claims").iterdir(), key=lambda path: path.name)
    entries = [Entry(**entry) for path in files for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]
    found = {}
    for entry in entries:
        if entry.id in found:
            raise EmolibError(f"claim {entry.id!r} is in the ledger twice")
        found[entry.id] = entry
    return found


def judge(evidence: Evidence) -> Claim:
    """Apply the ledger's rule. Raises EmolibError for an id that the ledger does not have."""
    if evidence.id not in ledger():
        raise EmolibError(f"claim {evidence.id!r} is not in the ledger; add it there first")
    entry = ledger()[evidence.id]
    return _blank(entry).model_copy(
        update={
            "estimate": evidence.estimate,
            "ci": evidence.ci,
            "n": evidence.n,
            "null": evidence.null,
            "control": evidence.control,
            "verdict": _verdict(entry, evidence),
        }
    )


def verdict_of(claim: Claim, estimate: float) -> Verdict:
    """The verdict that another estimate of a judged claim gets, beside the claim's own null.

    Only for rules that look at nothing but estimate and null. Raises EmolibError for others: they
    need evidence of their own, see `judge`.
    """
    entry = ledger()[claim.id]
    if entry.rule.kind != "share_of_paper":
        raise EmolibError(f"the rule of {claim.id!r} needs more than an estimate; judge new evidence instead")
    if claim.null is None or claim.verdict == "instrument not valid":
        return claim.verdict
    evidence = Evidence(id=claim.id, estimate=estimate, ci=claim.ci, n=claim.n, null=claim.null)
    return _verdict(entry, evidence)


def complete(claims: Iterable[Claim]) -> list[Claim]:
    """One claim per ledger entry, in its order; those without evidence are `not run`.

    Here each p is adjusted for the number of claims that its chapter tests. Rules do not look at it.
    """
    found = {claim.id: claim for claim in claims}
    families: dict[str | None, list[Claim]] = {}
    for claim in found.values():
        if claim.null is not None:
            families.setdefault(claim.chapter, []).append(claim)
    for family in families.values():
        adjusted = false_discovery_control([claim.null.p for claim in family], method="bh")
        for claim, p in zip(family, adjusted, strict=True):
            found[claim.id] = claim.model_copy(update={"p_adjusted": float(p)})
    return [found.get(entry.id, _blank(entry)) for entry in ledger().values()]


def explain(rule: Rule, paper: float | None) -> str:
    """The decision rule in words: what counts as replicated, as partly, and as failure."""
    if rule.kind == "at_most":
        near = f"nearer to zero than {rule.bound:g}"
        return (
            f"replicated: {near} with its whole interval; partly: {near}, but not with its whole "
            f"interval; not replicated: {rule.bound:g} or more away from zero"
        )
    if rule.kind == "share_of_paper":
        side, least = ("below", "most") if paper < 0 else ("above", "least")
        return (
            f"replicated: {side} the null band and at {least} {rule.share * paper:.2f}; "
            f"partly: {side} the null band only; not replicated: inside the null band or on its other side"
        )
    word, other = ("above", "below") if rule.sign > 0 else ("below", "above")
    return (
        f"replicated: {word} zero with its whole interval, {word} the null band, and {word} the control "
        "where there is one; partly: all but the control; not replicated: interval touching zero, inside "
        f"the null band, or {other} it"
    )


def _blank(entry: Entry) -> Claim:
    return Claim(
        id=entry.id,
        chapter=entry.chapter,
        missing=entry.missing,
        statement=entry.statement,
        section=entry.section,
        paper=entry.paper,
        paper_says=entry.paper_says,
        unit=entry.unit,
        n_of=entry.n_of,
        rule=explain(entry.rule, entry.paper),
        exploratory=entry.exploratory,
    )


def _verdict(entry: Entry, evidence: Evidence) -> Verdict:
    if not evidence.valid:
        return "instrument not valid"
    rule = entry.rule
    if rule.kind == "at_most":
        if not abs(evidence.estimate) < rule.bound:
            return "not replicated"
        return "replicated" if max(map(abs, evidence.ci)) < rule.bound else "partly"
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
