"""The scorecard page: a sceptic's first questions answered from the claims, and the table of them all.

Directives: `{scorecard}` draws the answers, `{claims-table}` the table with its filters. Both fill
a template with what the claims say; neither knows a result.
"""

from collections import Counter
from pathlib import Path
from typing import get_args

import ledger
from docutils import nodes
from docutils.parsers.rst import Directive
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from emolib import claims, profiles, results
from emolib.figures import scorecard as shown

# The paper's parts, in our words.
SECTIONS = {
    "1.1": "Making the vectors",
    "1.2": "Where the vectors fire",
    "1.3": "Words the vectors promote",
    "1.4": "Implied emotions",
    "1.5": "Severity",
    "1.6": "Steering the reply",
    "1.7": "Preferences",
    "2.1": "Geometry",
    "2.2": "What a vector follows",
    "2.3": "Two speakers",
    "3.1": "Case studies",
    "3.2": "Blackmail",
    "3.3": "Reward hacking",
    "3.4": "Sycophancy and harshness",
    "3.5": "Post-training",
    "Discussion": "",
    "A1": "Emotions not shown",
}
VERDICTS = get_args(claims.Verdict)
HERE = "here"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters |= {
    "breakable": shown.breakable,
    "label": shown.verdict_label,
    "p_value": shown.p_value,
}


def page(template: str, **content) -> list[nodes.Node]:
    """A filled template as a piece of the page."""
    return [nodes.raw("", templates.get_template(template).render(**content), format="html")]


class Answers(Directive):
    """What held, what failed, what could not be tested, chance, and how to check."""

    def run(self):
        found = [ledger.find(claim_id) for claim_id in claims.ledger()]
        by_verdict = {verdict: [c for c in found if c.verdict == verdict] for verdict in VERDICTS}
        return page(
            "answers.html",
            profile=profiles.load(ledger.PROFILE).name,
            setting=ledger.setting(),
            counts={verdict: len(each) for verdict, each in by_verdict.items()},
            by_verdict={verdict: in_turn(each) for verdict, each in by_verdict.items()},
            missing=Counter(claim.missing for claim in by_verdict["not run"]).most_common(),
            chance=chance(found),
            number=shown.number,
        )


class ClaimsTable(Directive):
    """Every claim by section of the paper: what was tested first, then what was not."""

    def run(self):
        own = profiles.load(ledger.PROFILE).name
        found = {claim_id: ledger.find(claim_id) for claim_id in claims.ledger()}
        # The same model's published column first, then the others.
        names = sorted(results.published_profiles(), key=lambda name: (name != own, name))
        models = {HERE: found} | {
            name: {claim.id: claim for claim in results.published_claims(name)} for name in names
        }
        sections: dict[str, dict[str, list]] = {}
        for claim_id, claim in found.items():
            tested = any(column[claim_id].verdict != "not run" for column in models.values())
            rows = sections.setdefault(section(claim), {"tested": [], "untested": []})
            rows["tested" if tested else "untested"].append(claim)
        axes = shown.effect_axes(claim for column in models.values() for claim in column.values())
        return page(
            "claims.html",
            own=own,
            here=HERE,
            models=models,
            fresh=ledger.fresh(),
            sections=sections,
            titles={name: SECTIONS.get(name, "") for name in sections},
            verdicts=VERDICTS,
            entries=claims.ledger(),
            explain=claims.explain,
            number=shown.number,
            interval=shown.interval,
            plot=lambda claim: shown.effect_plot(claim, axes[claim.unit]) if claim.unit in axes else "",
        )


def section(claim: claims.Claim) -> str:
    """The paper's section of a claim, without the figure or table."""
    return claim.section.split(",")[0]


def in_turn(found: list[claims.Claim]) -> list[claims.Claim]:
    """Claims in the paper's order, one from every section before the second of any."""
    turns = Counter()
    keyed = []
    for place, claim in enumerate(found):
        keyed.append((turns[section(claim)], place, claim))
        turns[section(claim)] += 1
    return [claim for *_, claim in sorted(keyed, key=lambda each: each[:2])]


def chance(found: list[claims.Claim]) -> dict:
    """What nulls and multiple testing leave: how many claims lie beyond, by kind of null."""
    judged = [claim for claim in found if claim.null is not None]
    kinds: dict[str, list[bool]] = {}
    for claim in judged:
        kinds.setdefault(claim.null.kind, []).append(beyond_null(claim))
    rows = [{"kind": kind, "n": len(each), "beyond": sum(each)} for kind, each in kinds.items()]
    return {
        "n": len(judged),
        "beyond": sum(map(beyond_null, judged)),
        "expected": 0.05 * len(judged),
        "adjusted": sum(claim.p_adjusted <= 0.05 for claim in judged),
        "lost": [claim for claim in judged if beyond_null(claim) and claim.p_adjusted > 0.05],
        "held": [row for row in rows if row["beyond"] == row["n"]],
        "rest": sorted((row for row in rows if row["beyond"] < row["n"]), key=lambda row: row["beyond"]),
    }


def beyond_null(claim: claims.Claim) -> bool:
    """Whether the estimate lies outside the middle 95 % of its null."""
    return not claim.null.low <= claim.estimate <= claim.null.high


def setup(app):
    """Register the directives."""
    app.add_directive("scorecard", Answers)
    app.add_directive("claims-table", ClaimsTable)
    return {"parallel_read_safe": True, "version": "1"}
