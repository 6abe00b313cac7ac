"""Numbers in the book's prose: read from the claims when the pages are built, never typed.

Roles: {claim}`id` gives a claim's estimate, interval and n, as a link to the record of the run that
made it; {claim_n}`id` only its n; {verdict}`id` its verdict; {paper}`id` the paper's own number;
{setting}`module.NAME` a constant of an experiment, such as a strength or a gate.
A claim that has not been run here is shown as published; one that exists in neither is `not run`.
"""

import os
from importlib import import_module
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxRole

from emolib import claims, profiles, results
from emolib.figures.scorecard import interval, number

RECORDS = "book/provenance"
PROFILE = os.environ.get("EMOLIB_PROFILE", "smollm2-135m-instruct")
SCALE = os.environ.get("EMOLIB_SCALE", "standard")
CORPUS = Path(os.environ["EMOLIB_CORPUS"]) if os.environ.get("EMOLIB_CORPUS") else None


def fresh() -> dict[str, claims.Claim]:
    """The claims as just computed."""
    name = profiles.load(PROFILE).name
    return {claim.id: claim for claim in results.fresh_claims(name, SCALE, CORPUS)}


def published() -> dict[str, claims.Claim]:
    """The claims as published."""
    return {claim.id: claim for claim in results.published_claims(profiles.load(PROFILE).name)}


def find(claim_id: str) -> claims.Claim:
    """The claim as just computed, or as published where it was not."""
    if claim_id not in claims.ledger():
        raise KeyError(f"no claim {claim_id!r} in the ledger")
    claim = fresh()[claim_id]
    return claim if claim.verdict != "not run" else published()[claim_id]


def record_uri(app, page: str, chapter: str) -> str:
    """The address of a chapter's record, seen from a page."""
    return f"{app.builder.get_relative_uri(page, RECORDS)}#record-{chapter}"


def setting() -> str:
    """The settings of `make` that give this book again."""
    corpus = f" CORPUS={CORPUS}" if CORPUS else ""
    return f"PROFILE={PROFILE} SCALE={SCALE}{corpus}"


class Estimate(SphinxRole):
    """{claim}`id`: estimate, interval and n; one click leads to the record."""

    def run(self):
        claim = find(self.text)
        if claim.estimate is None:
            return [nodes.Text("(not run)")], []
        n = f"n = {claim.n}".replace(" ", "\N{NO-BREAK SPACE}")
        text = f"{number(claim.estimate, claim.unit)} ({interval(claim.ci, claim.unit)}, {n})"
        link = nodes.reference("", "", nodes.strong("", text, classes=["claim"]), internal=True)
        link["refuri"] = record_uri(self.env.app, self.env.docname, claim.chapter)
        link["reftitle"] = how_made(claim)
        return [link], []


def how_made(claim: claims.Claim) -> str:
    """What the number is, what it was held against, and where its record leads."""
    null = f"; null: {claim.null.n} × {claim.null.kind}" if claim.null else ""
    return (
        f"How this number was made: {claims.ledger()[claim.id].measure}; "
        f"95 % interval over {claim.n_of}{null}. Click for the record of the run."
    )


class Paper(SphinxRole):
    """{paper}`id`: the paper's number, or what it says where it gives none."""

    def run(self):
        if self.text not in claims.ledger():
            raise KeyError(f"no claim {self.text!r} in the ledger")
        entry = claims.ledger()[self.text]
        text = entry.paper_says if entry.paper is None else number(entry.paper, entry.unit)
        return [nodes.Text(text.replace(" ", "\N{NO-BREAK SPACE}"))], []


class Setting(SphinxRole):
    """{setting}`module.NAME`: a choice that the code makes, such as a strength or a gate."""

    def run(self):
        module, name = self.text.rsplit(".", 1)
        return [nodes.Text(str(getattr(import_module(f"emolib.experiments.{module}"), name)))], []


class Count(SphinxRole):
    """{claim_n}`id`: how many items the claim rests on."""

    def run(self):
        return [nodes.Text(str(find(self.text).n or "(not run)"))], []


class VerdictRole(SphinxRole):
    """{verdict}`id`: the claim's verdict."""

    def run(self):
        return [verdict(find(self.text).verdict)], []


def verdict(text: str) -> nodes.inline:
    """A verdict as a coloured label."""
    return nodes.inline("", text, classes=["verdict", "verdict-" + text.replace(" ", "-")])


def setup(app):
    """Register the roles; pages are read anew each time, since the numbers may differ."""
    app.add_role("claim", Estimate())
    app.add_role("claim_n", Count())
    app.add_role("verdict", VerdictRole())
    app.add_role("paper", Paper())
    app.add_role("setting", Setting())
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: _with_numbers(app, env))
    return {"parallel_read_safe": True, "version": "1"}


def _with_numbers(app, env) -> list[str]:
    words = ("{claim", "{verdict", "{paper", "{setting", "{scorecard", "{records")
    return [
        name
        for name in env.found_docs
        if any(word in Path(env.doc2path(name)).read_text("utf-8") for word in words)
    ]
