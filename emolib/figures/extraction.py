"""Figures of the chapter on making vectors."""

import html

import pandas as pd

from emolib.figures.look import AMBER, BLUE, RED, colours_for, null_band
from emolib.figures.tokens import joined, token_span


def vector_norms(norms: pd.DataFrame, ax):
    """Mean length of the vectors in each layer as a share of the stream's, raw and denoised."""
    ax.plot(norms.layer, norms.raw_norm / norms.stream_norm, color=RED, label="raw")
    ax.plot(norms.layer, norms.norm / norms.stream_norm, color=BLUE, label="neutral components removed")
    ax.set(xlabel="layer", ylabel="vector length /\nmean stream length", ylim=(0, None))
    ax.legend()
    return ax


def held_out_accuracy(held_out: pd.DataFrame, ax):
    """Per layer, the share of left-out stories whose own emotion ranks first, and whose cluster is found."""
    n = held_out.emotion.nunique()
    layers = held_out.groupby("layer")
    ax.plot(
        layers["cluster_found"].mean(),
        color=AMBER,
        marker="o",
        markersize=4,
        label="a word of the right cluster first",
    )
    ax.plot(
        layers["rank"].apply(lambda r: (r == 1).mean()),
        color=BLUE,
        marker="o",
        markersize=4,
        label="own emotion first",
    )
    ax.axhline(1 / n, color="0.5", linewidth=1, label=f"chance, 1 of {n}")
    ax.set(xlabel="layer", ylabel="share of left-out stories", ylim=(0, 1.02))
    ax.legend(fontsize="small", loc="center right")
    return ax


def passage_curves(tokens: pd.DataFrame, ax, smooth: int = 5):
    """Readings along one passage, a running mean over `smooth` tokens, with the null band of a token."""
    emotions = list(dict.fromkeys(tokens.emotion))
    for name, colour in colours_for(emotions).items():
        curve = tokens[tokens.emotion == name].sort_values("position")
        ax.plot(
            curve.position,
            curve.reading.rolling(smooth, center=True, min_periods=1).mean(),
            color=colour,
            label=name,
        )
    null_band(ax, curve.position, curve.null_low, curve.null_high, "random directions, 95 %")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="token", ylabel="cosine", title=tokens.passage.iloc[0])
    ax.legend(ncols=len(emotions) + 1, fontsize="small", loc="upper left")
    return ax


def passage_html(tokens: pd.DataFrame) -> str:
    """One passage once per emotion, each token on a ground as red or blue as its reading.

    The scale runs to the 99th percentile of the magnitudes in this passage, as in the paper's token
    displays. Tokens inside the null band stay uncoloured.
    """
    limit = tokens.reading.abs().quantile(0.99)
    parts = [_one_emotion(rows, limit) for _, rows in tokens.groupby("emotion", sort=False)]
    title = html.escape(tokens.passage.iloc[0])
    return f'<div class="passage"><p class="passage-title">{title}</p>{"".join(parts)}</div>'


def _one_emotion(rows: pd.DataFrame, limit: float) -> str:
    rows = rows.sort_values("position")
    spans = [
        token_span(
            row.token,
            row.reading,
            limit,
            f"{row.reading:+.3f}",
            coloured=not row.null_low <= row.reading <= row.null_high,
        )
        for row in rows.itertuples()
    ]
    return f"<p><b>{html.escape(rows.emotion.iloc[0])}</b> {joined(spans, rows.token)}</p>"
