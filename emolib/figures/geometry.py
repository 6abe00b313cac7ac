"""Figures of the chapter on geometry."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns

from emolib.figures.look import AMBER, BLUE, DIVERGING, RED, null_band, paper_line

RATING_LABELS = {"pleasure": "rated pleasure", "arousal": "rated arousal"}


def cosine_map(cosines: pd.DataFrame, words: pd.DataFrame, ax):
    """The cosine of every two vectors, emotions in the order of the dendrogram."""
    order = words.sort_values("order").emotion
    table = cosines.pivot(index="emotion_a", columns="emotion_b", values="cosine").loc[order, order]
    sns.heatmap(
        table,
        ax=ax,
        cmap=DIVERGING,
        center=0,
        vmin=-1,
        vmax=1,
        square=True,
        xticklabels=False,
        yticklabels=3,
        cbar_kws={"label": "cosine", "shrink": 0.6},
    )
    ax.set(xlabel="", ylabel="")
    ax.tick_params(axis="y", labelsize=6.5, length=0)
    return ax


def cluster_overlap(words: pd.DataFrame, ax):
    """How many words each of our clusters shares with each of the paper's."""
    table = pd.crosstab(words.paper_cluster, words.cluster)
    # Columns in the order of the paper's cluster that they overlap most.
    table = table[
        sorted(table.columns, key=lambda c: (table.index.get_loc(table[c].idxmax()), -table[c].max()))
    ]
    table.columns = [f"{chr(65 + i)}" for i in range(table.shape[1])]
    counts = table.map(lambda n: str(n) if n else "")
    sns.heatmap(table, ax=ax, cmap="Blues", annot=counts, fmt="", cbar=False, linewidths=0.5)
    ax.set(xlabel="our clusters", ylabel="")
    ax.tick_params(axis="both", length=0)
    ax.tick_params(axis="x", rotation=0)
    return ax


def components(words: pd.DataFrame, ax):
    """All emotions on the first two components, coloured by rated pleasure where there is a rating."""
    rated = words.pleasure.notna()
    ax.scatter(words.pc1[~rated], words.pc2[~rated], s=10, color="0.75", label="not rated")
    shown = ax.scatter(
        words.pc1[rated],
        words.pc2[rated],
        c=words.pleasure[rated],
        cmap=f"{DIVERGING}_r",
        vmin=-1,
        vmax=1,
        s=30,
        edgecolors="0.4",
        linewidths=0.5,
    )
    for row in words[rated].itertuples():
        ax.annotate(row.emotion, (row.pc1, row.pc2), fontsize=7, xytext=(3, 2), textcoords="offset points")
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set(
        xlabel=f"PC1 ({words.pc1_share.iloc[0]:.0%} of variance)",
        ylabel=f"PC2 ({words.pc2_share.iloc[0]:.0%})",
    )
    ax.figure.colorbar(shown, ax=ax, label="rated pleasure", shrink=0.7)
    return ax


def components_against_ratings(words: pd.DataFrame, component: int, rating: str, ax):
    """One component against one human rating, with the regression line."""
    rated = words.dropna(subset=[rating])
    sns.regplot(
        data=rated,
        x=rating,
        y=f"pc{component}",
        ax=ax,
        color=BLUE,
        ci=None,
        scatter_kws={"s": 18},
        line_kws={"linewidth": 1.2},
    )
    r = np.corrcoef(rated[rating], rated[f"pc{component}"])[0, 1]
    ax.set(xlabel=RATING_LABELS[rating], ylabel=f"PC{component}", title=f"r = {r:.2f}, n = {len(rated)}")
    return ax


def correlation_by_layer(by_layer: pd.DataFrame, component: int, paper_r: float, ax):
    """A component's correlation with its rating in every layer, both kinds of vectors, null band."""
    rows = by_layer[by_layer.component == component]
    kinds = {"neutral removed": BLUE, "raw": RED}
    for kind, colour in kinds.items():
        curve = rows[rows.vectors == kind]
        ax.plot(curve.layer, curve.r, color=colour, label=kind)
    null_band(ax, curve.layer, curve.null_low, curve.null_high, "shuffled ratings, 95 %")
    paper_line(ax, paper_r)
    rating = rows.rating.iloc[0]
    ax.set(xlabel="layer", ylabel="r", title=f"PC{component} and {RATING_LABELS[rating]}", ylim=(-1, 1))
    return ax


def layer_similarity_map(similarity: pd.DataFrame, ax):
    """How alike the maps of emotions are in any two layers."""
    table = similarity.pivot(index="layer_a", columns="layer_b", values="cosine")
    sns.heatmap(
        table,
        ax=ax,
        cmap="viridis",
        vmin=0,
        vmax=1,
        square=True,
        xticklabels=5,
        yticklabels=5,
        cbar_kws={"label": "cosine of the maps", "shrink": 0.7},
    )
    ax.set(xlabel="layer", ylabel="layer")
    ax.yaxis.set_major_formatter(mpl.ticker.FixedFormatter([str(i) for i in table.index[::5]]))
    return ax


def quality_by_stories(by_stories: pd.DataFrame, axes):
    """How the chapter's numbers grow with the stories per emotion: mean and spread over draws of topics."""
    left, right = axes
    series = {
        "pc1_pleasure_r": (left, BLUE, "PC1 and pleasure"),
        "pc2_arousal_r": (left, RED, "PC2 and arousal"),
        "half_cosine": (right, BLUE, "cosine of vectors from two halves"),
        "found": (right, RED, "unseen stories found among all"),
        "found_of_12": (right, AMBER, "unseen stories found among 12"),
    }
    for column, (ax, colour, label) in series.items():
        rows = by_stories.dropna(subset=[column]).groupby("stories")[column]
        mean, spread = rows.mean(), rows.std().fillna(0)
        ax.plot(mean.index, mean, color=colour, marker="o", markersize=4, label=label)
        ax.fill_between(mean.index, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    left.set(ylabel="r", ylim=(-0.2, 1))
    right.set(ylabel="cosine, share", ylim=(0, 1))
    for ax in axes:
        ax.set(xlabel="stories per emotion")
        ax.legend(fontsize="small", loc="lower right")
    return axes
