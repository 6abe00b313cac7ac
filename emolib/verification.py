"""Does a re-run agree with what is published: claim by claim within a tolerance, and table by table.

A claim agrees when its verdict is the same and its estimate moved by no more than a share of half the
published interval. The interval says how far an estimate would move with other stories or prompts. A
re-run draws the same ones, so on the same class of machine it has to come much closer, and on another
class, where sums are rounded in another order or precision, it has to stay within that distance.
"""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from emolib import machine
from emolib.claims import Claim
from emolib.errors import EmolibError
from emolib.files import sha256_of
from emolib.results import Results

# Shares of half the published interval. With the same precision, device and instructions a re-run gives
# the same digits; a tenth leaves room for another number of threads or version of a library.
SAME_CLASS = 0.1
# Other instructions move single readings by a rounding step, which can swap two ranks or one choice made
# from data; an estimate that moves further than new stories would move it is another result.
OTHER_CLASS = 1.0
_SETTINGS = ("scale", "seed", "layer", "corpus", "python")


class Comparison(BaseModel):
    """A row per claim in `claims` (see `compare`), what to know before reading it, and a line per chapter."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    about: list[str]
    claims: pd.DataFrame
    tables: list[str]

    @property
    def agrees(self) -> bool:
        """Whether every claim does."""
        return bool((self.claims.problem == "").all())

    @property
    def summary(self) -> str:
        """How many claims agree, in one line."""
        n, wrong = len(self.claims), (self.claims.problem != "").sum()
        return f"{n} claims: all agree" if self.agrees else f"{wrong} of {n} do not agree"


def compare(published: Results, again: Results) -> Comparison:
    """Compare two sets of results of one profile.

    `claims` has a row for every claim that either side has judged: `claim`, `chapter`, the estimates
    `published` and `again`, their `difference` and its `tolerance` (all in the claim's unit), the
    verdicts `before` and `after`, and `problem`, empty where the claim agrees. Raises EmolibError for
    results of another model, and when no claim has been judged.
    """
    published.check_subject(again.setting("fingerprint"), again.setting("dtype"))
    shared = [chapter for chapter in published.chapters if chapter in again.chapters]
    factors = {chapter: _factor(published.chapters[chapter], again.chapters[chapter]) for chapter in shared}
    rows = [
        _row(before, after, factors.get(before.chapter, np.nan))
        for before, after in zip(published.claims, again.claims, strict=True)
        if (before.verdict, after.verdict) != ("not run", "not run")
    ]
    if not rows:
        raise EmolibError(
            f"no claim has been judged in {published.folder} or {again.folder}; run `make book` first"
        )
    about = [*_machines("published", published), *_machines("re-run", again), *_tolerances(factors)]
    return Comparison(
        about=about + _other_settings(published, again, shared),
        claims=pd.DataFrame(rows),
        tables=[
            _tables(chapter, published, again) for chapter in sorted({*published.chapters, *again.chapters})
        ],
    )


def rows(claims: pd.DataFrame) -> pd.DataFrame:
    """The claims table as it is shown: one row of strings per claim."""
    return pd.DataFrame(
        {
            "claim": claims.claim,
            "published": claims.published.map(_number),
            "re-run": claims.again.map(_number),
            "difference": claims.difference.map(lambda value: _number(value, "+.2g")),
            "tolerance": claims.tolerance.map(lambda value: _number(value, ".2g")),
            "verdict": claims.before.where(
                claims.before == claims.after, claims.before + " → " + claims.after
            ),
            "agrees": claims.problem.map(lambda problem: f"no: {problem}" if problem else "yes"),
        }
    )


def markdown(found: Comparison) -> str:
    """The comparison as a Markdown document."""
    shown = rows(found.claims)
    table = [shown.columns, ["---"] * len(shown.columns), *shown.itertuples(index=False)]
    about, tables = (["- " + line for line in lines] for lines in (found.about, found.tables))
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    return "\n".join([*about, "", *lines, "", *tables, "", f"**{found.summary}**", ""])


def junit(found: Comparison) -> str:
    """The comparison as JUnit XML: one test case per claim."""
    shown = rows(found.claims)
    wrong = (found.claims.problem != "").sum()
    counts = {"name": "emolib verify", "tests": str(len(shown)), "failures": str(wrong), "errors": "0"}
    suite = ET.Element("testsuite", counts)
    for (_, claim), line in zip(found.claims.iterrows(), shown.itertuples(index=False), strict=True):
        case = ET.SubElement(suite, "testcase", classname=f"claims.{claim.chapter}", name=claim.claim)
        if claim.problem:
            ET.SubElement(case, "failure", message=" | ".join(line))
    ET.SubElement(suite, "system-out").text = "\n".join([*found.about, *found.tables])
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _row(before: Claim, after: Claim, factor: float) -> dict:
    estimates = [np.nan if claim.estimate is None else claim.estimate for claim in (before, after)]
    difference = estimates[1] - estimates[0]
    tolerance = np.nan if before.ci is None else factor * (before.ci[1] - before.ci[0]) / 2
    if before.verdict == "not run":
        problem = "not published"
    elif after.verdict == "not run":
        problem = "not in the re-run"
    else:
        # Asked this way round, a difference that is no number does not pass.
        beyond = "" if abs(difference) <= tolerance else "difference above the tolerance"
        changed = "" if before.verdict == after.verdict else "verdict changed"
        problem = ", ".join(filter(None, (beyond, changed)))
    return {
        "claim": before.id,
        "chapter": before.chapter,
        "published": estimates[0],
        "again": estimates[1],
        "difference": difference,
        "tolerance": tolerance,
        "before": before.verdict,
        "after": after.verdict,
        "problem": problem,
    }


def _factor(before: dict, after: dict) -> float:
    known = machine.in_words(before)
    return SAME_CLASS if known is not None and known == machine.in_words(after) else OTHER_CLASS


def _tolerances(factors: dict[str, float]) -> list[str]:
    words = {SAME_CLASS: "same machine class", OTHER_CLASS: "another machine class"}
    groups = {
        f: [chapter for chapter in factors if factors[chapter] == f] for f in sorted({*factors.values()})
    }
    return [
        f"{words[factor]}, tolerance {factor:g} of half the published interval"
        + (f" ({', '.join(chapters)})" if len(groups) > 1 else "")
        for factor, chapters in groups.items()
    ]


def _machines(side: str, found: Results) -> list[str]:
    groups: dict[str, list[str]] = {}
    for chapter, record in found.chapters.items():
        used = record["machine"]
        text = (
            machine.in_words(record) or f"{record['dtype']} on {record['device']}, instructions not recorded"
        )
        text += f", {used['threads']} threads" if "threads" in used else ""
        groups.setdefault(f"{used['system']} {used['processor']}, {text}", []).append(chapter)
    return [
        f"{side}: {text}" + (f" ({', '.join(chapters)})" if len(groups) > 1 else "")
        for text, chapters in groups.items()
    ]


def _other_settings(published: Results, again: Results, chapters: list[str]) -> list[str]:
    """A line for each setting or version in which the two differ."""
    found = {}
    for chapter in chapters:
        before, after = (
            {
                **{name: side.chapters[chapter][name] for name in _SETTINGS},
                **side.chapters[chapter]["versions"],
            }
            for side in (published, again)
        )
        for name in before:
            if before[name] != after.get(name):
                found[f"{name} differs: {before[name]} published, {after.get(name)} in the re-run"] = None
    return list(found)


def _tables(chapter: str, published: Results, again: Results) -> str:
    """One line on a chapter's tables: identical, other digits only, or more than that."""
    if chapter not in again.chapters or chapter not in published.chapters:
        return f"{chapter}: {'published' if chapter in published.chapters else 're-run'} only"
    names = {*published.chapters[chapter]["tables"], *again.chapters[chapter]["tables"]}
    said = dict.fromkeys(sorted(names), "")
    for name in said:
        before, after = (side.folder / chapter / f"{name}.parquet" for side in (published, again))
        if not (before.is_file() and after.is_file()):
            said[name] = "on one side only"
        elif sha256_of(before) != sha256_of(after):
            said[name] = _other_content(pd.read_parquet(before), pd.read_parquet(after))
    differ = [f"{name} {how}" for name, how in said.items() if how]
    same = f"{len(said) - len(differ)} of {len(said)} tables identical"
    return f"{chapter}: {'; '.join([same, *differ])}"


def _other_content(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """How two tables differ, "" when their values do not."""
    if before.equals(after):
        return ""
    numbers = before.select_dtypes("number").columns
    if list(before) != list(after) or len(before) != len(after):
        return "has other columns or another number of rows"
    if not before.drop(columns=numbers).equals(after.drop(columns=numbers)):
        return "differs in words"
    if not before[numbers].isna().equals(after[numbers].isna()):
        return "has gaps in other places"
    apart = (after[numbers] - before[numbers]).abs().max()
    return f"differs only in digits (up to {apart.max():.1e} in {apart.idxmax()})"


def _number(value: float, form: str = ".4f") -> str:
    return "" if np.isnan(value) else format(value, form)
