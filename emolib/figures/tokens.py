"""Texts as HTML, token by token, each on a ground as red or blue as a number."""

import html
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np

from emolib.figures.look import DIVERGING


def token_span(text: str, value: float, limit: float, title: str, coloured: bool = True) -> str:
    """One token: red for a positive value, blue for a negative one, full at `limit`; `title` on hovering."""
    style = ""
    if coloured:
        red, green, blue, _ = mpl.colormaps[DIVERGING](0.5 + 0.5 * np.clip(value / limit, -1, 1), bytes=True)
        ink = "#fff" if 0.3 * red + 0.59 * green + 0.11 * blue < 150 else "#111"
        style = f' style="background:rgb({red},{green},{blue});color:{ink}"'
    return f'<span{style} title="{html.escape(title)}">{html.escape(text)}</span>'


def joined(spans: Iterable[str], texts: Iterable[str]) -> str:
    """Tokens keep the space that the tokenizer cut off in front of them."""
    return "".join(
        span if not text[:1].isspace() else " " + span for span, text in zip(spans, texts, strict=True)
    )
