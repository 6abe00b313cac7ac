"""Numbers in the book's prose: read from the claims when the pages are built, never typed.

Roles: {claim}`id` gives a claim's estimate, interval and n; {claim_n}`id` only its n; {verdict}`id` its
verdict. Directives: `{scorecard}` draws the table of all claims, `{versions}` says what made them.
A claim that has not been run here is shown as published; one that exists in neither is `not run`.
"""

import json
import os
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.docutils import SphinxRole

from emolib import claims, profiles, results

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


class Estimate(SphinxRole):
    """{claim}`id`: estimate, interval and n."""

    def run(self):
        claim = find(self.text)
        if claim.estimate is None:
            return [nodes.Text("(not run)")], []
        n = f"n = {claim.n}".replace(" ", "\N{NO-BREAK SPACE}")
        text = f"{number(claim.estimate, claim.unit)} ({interval(claim.ci, claim.unit)}, {n})"
        return [nodes.strong("", text, classes=["claim"])], []


class Count(SphinxRole):
    """{claim_n}`id`: how many items the claim rests on."""

    def run(self):
        return [nodes.Text(str(find(self.text).n or "(not run)"))], []


class VerdictRole(SphinxRole):
    """{verdict}`id`: the claim's verdict."""

    def run(self):
        return [verdict(find(self.text).verdict)], []


class Scorecard(Directive):
    """The table of all claims: the paper, what was just computed, what is published."""

    def run(self):
        now, before = fresh(), published()
        table = _table(["The paper says", "Here, just computed", "Published"], "scorecard")
        for claim_id, claim in now.items():
            shown = claim if claim.verdict != "not run" else before[claim_id]
            paper = [
                nodes.paragraph("", f"{claim.statement} ({claim.paper_says})"),
                nodes.paragraph("", "", nodes.literal("", claim_id)),
            ]
            label = nodes.paragraph("", "", verdict(shown.verdict))
            table[0][-1] += _row([paper, [label, *_measured(claim)], _measured(before[claim_id])])
        return [table]


class Rules(Directive):
    """How each claim is measured and decided."""

    def run(self):
        items = nodes.definition_list()
        for entry in claims.ledger().values():
            text = (
                f"{entry.measure[0].upper()}{entry.measure[1:]}; "
                f"interval over {entry.n_of}; null: {entry.held_against}. "
                f"{claims.explain(entry.rule, entry.paper).capitalize()}. "
                f"Fixed before looking: {entry.fixed_before}."
            )
            items += nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", entry.id), nodes.Text(f" (paper {entry.section})")),
                nodes.definition("", nodes.paragraph("", text)),
            )
        return [items]


class Versions(Directive):
    """What made the results that this book shows."""

    def run(self):
        folder = results.run_folder(profiles.load(PROFILE).name, SCALE, CORPUS)
        paths = sorted(folder.glob("*/provenance.json"))
        paths += sorted((results.results_dir() / PROFILE).glob("provenance.json"))[: 0 if paths else 1]
        if not paths:
            return [nodes.paragraph("", "Nothing has been run.")]
        record = json.loads(paths[0].read_text(encoding="utf-8"))
        record = next(iter(record["chapters"].values())) if "chapters" in record else record
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        settings = (f"{name} {record[name]}" for name in ("scale", "seed", "layer"))
        machine = record["machine"]
        lines = {
            "profile": f"{record['profile']}, {', '.join(settings)}",
            "model": f"fingerprint {record['fingerprint']}, {record['dtype']} on {record['device']}",
            "corpus": f"hash {record['corpus']}, {_foreign(record['texts'])}",
            "code": record["commit"] or "not from git",
            "versions": f"Python {record['python']}, {versions}",
            "machine": f"{machine['system']}, {machine['processor']}, {machine['cores']} cores",
        }
        table = _table(["", ""], "versions")
        for name, text in lines.items():
            table[0][-1] += _row([[nodes.paragraph("", name)], [nodes.paragraph("", text)]])
        return [table]


def _foreign(texts: dict) -> str:
    """Which sets are not the project's own."""
    foreign = [name for name, source in texts.items() if not source["own"]]
    return f"not the project's own: {', '.join(foreign)}" if foreign else "all sets the project's own"


def number(value: float, unit: str) -> str:
    """An estimate as prose shows it."""
    if unit == "share":
        return f"{100 * value:.0f} %"
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") + (" sd" if unit == "z" else "")


def interval(bounds: tuple[float, float], unit: str) -> str:
    """An interval as prose shows it."""
    low, high = (number(bound, unit).removesuffix(" sd").removesuffix(" %") for bound in bounds)
    return f"{low} … {high}".replace(" ", "\N{NO-BREAK SPACE}") + (
        "\N{NO-BREAK SPACE}%" if unit == "share" else ""
    )


def verdict(text: str) -> nodes.inline:
    """A verdict as a coloured label."""
    return nodes.inline("", text, classes=["verdict", "verdict-" + text.replace(" ", "-")])


def _measured(claim: claims.Claim) -> list[nodes.Node]:
    if claim.estimate is None:
        return [nodes.paragraph("", "not run")]
    return [
        nodes.paragraph("", "", nodes.strong("", number(claim.estimate, claim.unit))),
        nodes.paragraph("", f"{interval(claim.ci, claim.unit)}"),
        nodes.paragraph("", f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{claim.n}"),
        nodes.paragraph("", "null " + interval((claim.null.low, claim.null.high), claim.unit)),
    ]


def _table(head: list[str], name: str) -> nodes.table:
    table = nodes.table(classes=[name])
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    if any(head):
        group += nodes.thead("", _row([[nodes.paragraph("", text)] for text in head]))
    group += nodes.tbody()
    table += group
    return table


def _row(cells: list[list[nodes.Node]]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


def setup(app):
    """Register the roles and directives; pages are read anew each time, since the numbers may differ."""
    app.add_role("claim", Estimate())
    app.add_role("claim_n", Count())
    app.add_role("verdict", VerdictRole())
    app.add_directive("scorecard", Scorecard)
    app.add_directive("rules", Rules)
    app.add_directive("versions", Versions)
    app.connect("env-get-outdated", lambda app, env, added, changed, removed: _with_numbers(app, env))
    return {"parallel_read_safe": True, "version": "1"}


def _with_numbers(app, env) -> list[str]:
    words = ("{claim", "{verdict", "{scorecard", "{versions", "{rules")
    return [
        name
        for name in env.found_docs
        if any(word in Path(env.doc2path(name)).read_text("utf-8") for word in words)
    ]
