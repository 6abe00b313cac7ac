"""Figures of the chapter on how firmly the headlines stand."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns

from emolib.figures.look import BLUE, DIVERGING, NULL_COLOUR, PAPER_LINE, RED, null_band

LABELS = {
    "geometry.pc1_pleasure_r": "PC1 and pleasure, r",
    "geometry.pc2_arousal_r": "PC2 and arousal, r",
    "geometry.pc1_variance": "PC1, share of variance",
    "geometry.cluster_ari": "clusters, adjusted Rand index",
    "geometry.layer_similarity_min": "least alike layers, cosine",
    "severity.tylenol.afraid": "severity, afraid, sd of null",
    "severity.tylenol.calm": "severity, calm, sd of null",
    "preferences.probe_r.blissful": "probe of blissful, r",
    "preferences.probe_r.hostile": "probe of hostile, r",
    "preferences.probe_r.max_abs": "strongest probe, |r|",
    "preferences.probe_r_vs_valence_r": "probe and pleasure, r",
}


def headline_variations(table: pd.DataFrame, summary: pd.DataFrame, claim: str, ax):
    """One headline under every variation, a dot each: blue where the verdict stays, red where not.

    Grey the null, a blue line the published value, dashed the paper's.
    """
    rows, headline = table[table.claim == claim], summary.set_index("claim").loc[claim]
    kinds = list(dict.fromkeys(table.kind))
    ax.axvspan(headline.null_low, headline.null_high, color=NULL_COLOUR, linewidth=0, zorder=0)
    ax.axvline(headline.estimate, color=BLUE, linewidth=1.2)
    if np.isfinite(headline.paper):
        ax.axvline(headline.paper, **PAPER_LINE)
    # Draws of one kind are spread over its row, in their order.
    same_kind = rows.groupby("kind").kind
    place = (same_kind.cumcount() + 0.5) / same_kind.transform("size")
    at = rows.kind.map(kinds.index) - 0.3 + 0.6 * place
    ax.scatter(rows.estimate, at, s=7, c=np.where(rows.stays, BLUE, RED), alpha=0.6, linewidths=0)
    ax.set_yticks(range(len(kinds)), kinds)
    ax.set(xlabel="", ylim=(len(kinds) - 0.5, -0.5))
    ax.set_title(LABELS[claim], fontsize=9)
    ax.tick_params(labelsize=8)
    return ax


def verdicts_stay(by_kind: pd.DataFrame, summary: pd.DataFrame, ax):
    """The share of each kind's variations under which each headline keeps its verdict."""
    table = by_kind.pivot(index="claim", columns="kind", values="stays")
    table = table.loc[summary.claim, list(dict.fromkeys(by_kind.kind))]
    sns.heatmap(
        table,
        ax=ax,
        cmap="Blues",
        vmin=0,
        vmax=1,
        annot=True,
        fmt=".0%",
        annot_kws={"fontsize": 7},
        linewidths=0.5,
        cbar=False,
        yticklabels=[f"{LABELS[row.claim]} ({row.verdict})" for row in summary.itertuples()],
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="both", length=0, labelsize=8)
    ax.tick_params(axis="x", rotation=90)
    return ax


def left_out(table: pd.DataFrame, summary: pd.DataFrame, ax):
    """Every headline without each topic: the number, coloured by how far it moved.

    The unit of the colour is half the width of the headline's published interval.
    """
    summary = summary.set_index("claim")
    estimates = table.pivot(index="claim", columns="variation", values="estimate").loc[summary.index]
    moved = estimates.sub(summary.estimate, axis=0).div((summary.high - summary.low) / 2, axis=0)
    sns.heatmap(
        moved,
        ax=ax,
        cmap=DIVERGING,
        vmin=-1,
        vmax=1,
        center=0,
        annot=estimates,
        fmt=".2f",
        annot_kws={"fontsize": 7},
        yticklabels=[LABELS[name] for name in estimates.index],
        cbar_kws={"label": "change, in half intervals"},
    )
    ax.set(xlabel="topic left out", ylabel="")
    ax.tick_params(axis="both", length=0, labelsize=8)
    ax.tick_params(axis="x", rotation=45)
    return ax


def vector_reliability(reliability: pd.DataFrame, layer: int, ax):
    """Over the emotions at one layer: cosine of halves, the same stepped up, and the null."""
    rows = reliability[reliability.layer == layer]
    ax.axvspan(
        rows.null_low.iloc[0],
        rows.null_high.iloc[0],
        color=NULL_COLOUR,
        linewidth=0,
        label="two different emotions, 95 %",
    )
    edges = np.histogram_bin_edges([*rows.half_cosine, *rows.reliability], bins=24)
    ax.hist(rows.half_cosine, edges, color=RED, alpha=0.6, linewidth=0, label="two halves")
    ax.hist(rows.reliability, edges, color=BLUE, alpha=0.6, linewidth=0, label="stepped up to all topics")
    ax.set(xlabel="cosine", ylabel="emotions", title=f"layer {layer}")
    ax.margins(y=0.45)
    ax.legend(fontsize="small", loc="upper left", frameon=True, framealpha=1)
    return ax


def vector_reliability_by_layer(reliability: pd.DataFrame, ax):
    """Median reliability over the emotions in every layer, and the range of the middle nine tenths."""
    by_layer = reliability.groupby("layer")
    low, middle, high = (by_layer.reliability.quantile(q) for q in (0.05, 0.5, 0.95))
    null = by_layer[["null_low", "null_high"]].first()
    null_band(ax, null.index, null.null_low, null.null_high, None)
    ax.plot(middle.index, middle, color=BLUE)
    ax.fill_between(middle.index, low, high, color=BLUE, alpha=0.15, linewidth=0)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.set(xlabel="layer", ylabel="reliability", ylim=(-0.6, 1), title="median, 5 % and 95 %")
    return ax
