"""Claims as a reader sees them: numbers in words, an effect plot in a row, a table in a chapter.

These are pieces of HTML, not pictures: they are read in light and dark, on a phone and aloud.
"""

from collections.abc import Iterable
from html import escape

from pandas.io.formats.style import Styler

from emolib import results
from emolib.claims import Claim

_SCORECARD = "../scorecard.html"  # seen from a chapter of the book


def number(value: float, unit: str) -> str:
    """An estimate as prose shows it: two decimals with a true minus, a share in per cent."""
    if unit == "share":
        return f"{100 * value:.0f} %"
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") + (" sd" if unit == "z" else "")


def interval(bounds: tuple[float, float], unit: str) -> str:
    """An interval as prose shows it."""
    low, high = (number(bound, unit).removesuffix(" sd").removesuffix(" %") for bound in bounds)
    return f"{low} … {high}".replace(" ", "\N{NO-BREAK SPACE}") + (
        "\N{NO-BREAK SPACE}%" if unit == "share" else ""
    )


def p_value(p: float) -> str:
    """A p with its sign of equality: "= 0.020", "< 0.001"."""
    text = "< 0.001" if p < 0.0005 else f"= {p:.3f}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def effect_axes(claims: Iterable[Claim]) -> dict[str, tuple[float, float]]:
    """One axis (low, high) a unit: wide enough for zero and for all that is drawn in that unit."""
    drawn: dict[str, list[float]] = {}
    for claim in claims:
        if claim.estimate is not None:
            drawn.setdefault(claim.unit, [0.0]).extend(_values(claim))
    axes = {}
    for unit, values in drawn.items():
        low, high = min(values), max(values)
        margin = 0.04 * (high - low) or 1.0
        axes[unit] = (low - margin * (low < 0), high + margin * (high > 0))
    return axes


def effect_plot(claim: Claim, axis: tuple[float, float]) -> str:
    """One claim on its unit's axis, as inline SVG with a text alternative.

    The null's middle 95 % is a grey band, the estimate a dot on its interval, the paper's value a
    dashed tick. Colours come from the style sheet (`svg.effect`). A claim without estimate gives "".
    """
    if claim.estimate is None:
        return ""

    def at(value: float) -> str:
        return f"{100 * (value - axis[0]) / (axis[1] - axis[0]):.2f}%"

    def line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
        return f'<line class="{kind}" x1="{at(x1)}" x2="{at(x2)}" y1="{y1}" y2="{y2}"/>'

    parts = []
    if claim.null:
        width = 100 * (claim.null.high - claim.null.low) / (axis[1] - axis[0])
        parts.append(
            f'<rect class="effect-null" x="{at(claim.null.low)}" y="3" width="{width:.2f}%" height="18"/>'
        )
    parts.append(line("effect-zero", 0, 0, 0, 24))
    parts.append(line("effect-interval", *claim.ci, 12, 12))
    if claim.paper is not None:
        parts.append(line("effect-paper", claim.paper, claim.paper, 1, 23))
    parts.append(f'<circle class="effect-dot" cx="{at(claim.estimate)}" cy="12" r="4.5"/>')
    for value, anchor in zip(axis, ("start", "end"), strict=True):
        # An end that lies close to zero would print over its label.
        if abs(value) > 0.15 * (axis[1] - axis[0]):
            label = number(value, claim.unit).removesuffix(" sd")
            parts.append(f'<text x="{at(value)}" y="36" text-anchor="{anchor}">{label}</text>')
    zero_at = {axis[0]: "start", axis[1]: "end"}.get(0, "middle")
    parts.append(f'<text x="{at(0)}" y="36" text-anchor="{zero_at}">0</text>')
    told = escape(_in_words(claim))
    return f'<svg class="effect" height="40" role="img" aria-label="{told}">{"".join(parts)}</svg>'


def claims_table(claims: Iterable[Claim]) -> Styler:
    """A chapter's claims, one row each: the verdict beside the claim, and a link to the scorecard's row."""
    rows = results.scorecard(claims)
    rows.insert(1, "verdict", rows.pop("verdict"))
    rows["n"] = rows.pop("n").str.replace("\N{NO-BREAK SPACE}", " ")
    shown = rows.style.format({"claim": _row_link, "verdict": verdict_label}, escape="html")
    return shown.hide(axis="index").set_table_attributes('class="claims"')


def verdict_label(verdict: str) -> str:
    """A verdict as a coloured label."""
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{verdict}</span>'


def breakable(claim_id: str) -> str:
    """A claim's id that may be broken at its dots and underscores."""
    # The table hands over text marked as escaped, which would escape what is put in.
    return escape(str(claim_id)).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _row_link(claim_id: str) -> str:
    return f'<a href="{_SCORECARD}#claim-{escape(claim_id)}">{breakable(claim_id)}</a>'


def _values(claim: Claim) -> list[float]:
    null = (claim.null.low, claim.null.high) if claim.null else ()
    paper = () if claim.paper is None else (claim.paper,)
    return [claim.estimate, *claim.ci, *null, *paper]


def _in_words(claim: Claim) -> str:
    parts = [
        f"estimate {number(claim.estimate, claim.unit)}",
        f"95 % interval {interval(claim.ci, claim.unit)}",
    ]
    if claim.null:
        parts.append(f"null {interval((claim.null.low, claim.null.high), claim.unit)}")
    if claim.paper is not None:
        parts.append(f"paper {number(claim.paper, claim.unit)}")
    return ", ".join(parts)
