"""Figures of the chapter on suppression: does the reading fall with the words?"""

import matplotlib as mpl
import numpy as np
import pandas as pd

from emolib.figures.look import NULL_COLOUR
from emolib.figures.posttraining import BEFORE, colour_of

WORDS = "words alone"
READ = {"before the reply": "o", "over its own reply": "s"}


def removed_or_masked(contrasts: pd.DataFrame, ax):
    """Share of the reading that is left against the share of it in the words, with intervals.

    Story vectors. On the line the reading falls as far as the words; above it more is read than said.
    """
    rows = contrasts[(contrasts.vectors == "story") & (contrasts.training != BEFORE)]
    table = rows.pivot(index="training", columns="place").loc[list(dict.fromkeys(rows.training))]
    for training, row in table.iterrows():
        for place, marker in READ.items():
            x, y = row["share", WORDS], row["share", place]
            colour = colour_of(training)
            # Not as error bars: the interval of a ratio need not hold its estimate.
            ax.hlines(y, row["share_low", WORDS], row["share_high", WORDS], color=colour, linewidth=1)
            ax.vlines(x, row["share_low", place], row["share_high", place], color=colour, linewidth=1)
            ax.plot(
                x,
                y,
                color=colour,
                marker=marker,
                markerfacecolor=None if place == "before the reply" else "white",
                linestyle="none",
                label=f"{training}, {place}",
            )
    ax.axline((0, 0), slope=1, color="0.6", linewidth=0.8, zorder=0)
    ax.scatter(1, 1, marker="*", s=110, color=colour_of(BEFORE), label="before training")
    for at, words in (((0.02, 0.97), "masked: read, not said"), ((0.98, 0.03), "said, not read")):
        side = {"ha": "left", "va": "top"} if at[0] < 0.5 else {"ha": "right", "va": "bottom"}
        ax.text(*at, words, transform=ax.transAxes, color="0.35", style="italic", **side)
    ax.set(xlabel="share left in the words alone", ylabel="share left in the reading")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def contrasts_by_place(contrasts: pd.DataFrame, axes):
    """How far each message's own vector reads above the others, by place; a panel per kind of vector.

    Grey: emotions shuffled among the messages.
    """
    places, trainings = (list(dict.fromkeys(contrasts[name])) for name in ("place", "training"))
    offsets = dict(zip(trainings, np.linspace(-0.3, 0.3, len(trainings)), strict=True))
    for ax, (vectors, rows) in zip(axes, contrasts.groupby("vectors", sort=False), strict=True):
        for training, offset in offsets.items():
            dots = rows[rows.training == training].set_index("place").loc[places]
            at, width = np.arange(len(places)) + offset, dots.null_high - dots.null_low
            ax.barh(at, width, left=dots.null_low, height=0.17, color=NULL_COLOUR, linewidth=0, zorder=0)
            ax.errorbar(
                dots.contrast,
                at,
                xerr=[dots.contrast - dots.low, dots.high - dots.contrast],
                fmt="o",
                markersize=5,
                color=colour_of(training),
                label=training,
            )
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.set_yticks(range(len(places)), [place.replace(" ", "\n", 1) for place in places])
        ax.set(xlabel="contrast, cosine", title=f"{vectors} vectors", ylim=(len(places) - 0.5, -0.5))
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        ax.tick_params(axis="y", length=0)
        if ax is not axes[0]:
            ax.set_yticklabels([])
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), ncols=len(trainings), loc="outside upper center")
    return axes


def contrast_by_emotion(by_emotion: pd.DataFrame, axes):
    """How far each message's own vector reads above the others, by emotion; one panel a place."""
    first = by_emotion[(by_emotion.place == by_emotion.place.iloc[0]) & (by_emotion.training == BEFORE)]
    order = list(first.sort_values("contrast", ascending=False).emotion)
    for ax, (place, rows) in zip(axes, by_emotion.groupby("place", sort=False), strict=True):
        spread = rows.groupby("emotion").contrast.agg(["min", "max"]).loc[order]
        ax.hlines(range(len(order)), spread["min"], spread["max"], color="0.85", linewidth=2, zorder=0)
        for training, dots in rows.groupby("training", sort=False):
            dots = dots.set_index("emotion").contrast[order]
            ax.scatter(dots, range(len(order)), s=24, color=colour_of(training), label=training)
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.set_yticks(range(len(order)), order if ax is axes[0] else [], fontsize=8)
        ax.set(title=place, ylim=(len(order) - 0.5, -0.5))
        ax.title.set_fontsize(9)
        ax.tick_params(labelsize=8)
    axes[len(axes) // 2].set_xlabel("own vector above the others, cosine")
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), ncols=4, loc="outside upper center")
    return axes


def contrast_by_layer(by_layer: pd.DataFrame, ax):
    """The contrast just before the reply in every layer, one line a training, with intervals."""
    for training, rows in by_layer.groupby("training", sort=False):
        colour = colour_of(training)
        ax.plot(rows.layer, rows.contrast, color=colour, label=training)
        ax.fill_between(rows.layer, rows.low, rows.high, color=colour, alpha=0.13, linewidth=0)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="layer", ylabel="own vector above the others, cosine")
    ax.legend(fontsize="small")
    return ax
