"""Figures of the chapter on severity."""

import matplotlib as mpl
import pandas as pd
import seaborn as sns

from emolib.figures.look import PAPER_LINE, colours_for, null_band

FAMILY_TITLES = {"tylenol": "tablets taken", "chalk": "chalk used (control)"}


def choice_map(choices: pd.DataFrame, axes):
    """The score of every wording, position and layer on the choosing paraphrases; one panel a position."""
    limit = choices.score.abs().max()
    for ax, (position, rows) in zip(axes, choices.groupby("position", sort=True), strict=True):
        table = rows.pivot(index="layer", columns="wording", values="score")
        table.columns = [name.replace("-", "\n") for name in table.columns]
        sns.heatmap(
            table,
            ax=ax,
            cmap=sns.color_palette("vlag", as_cmap=True),
            center=0,
            vmin=-limit,
            vmax=limit,
            cbar=ax is axes[-1],
            cbar_kws={"label": "score, sd of null"},
        )
        ax.set(xlabel="", ylabel="layer" if ax is axes[0] else "", title=position)
        ax.tick_params(axis="both", length=0, labelsize=8)
        ax.tick_params(axis="y", rotation=0)
    return axes


def severity_curves(curves: pd.DataFrame, family: str, ax, emotions: list[str] | None = None):
    """Mean reading per amount with bootstrap intervals, and the band of random directions."""
    rows = curves[curves.family == family]
    emotions = emotions or list(dict.fromkeys(rows.emotion))
    null = rows[rows.emotion == emotions[0]]
    null_band(ax, null.value, null.null_low, null.null_high, "random directions, 95 %")
    for name, colour in colours_for(emotions).items():
        curve = rows[rows.emotion == name]
        ax.plot(curve.value, curve.reading, color=colour, marker="o", markersize=3.5, label=name)
        ax.fill_between(curve.value, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)
    _dose_axis(ax, null.value)
    ax.set(xlabel="amount", ylabel="cosine, centred", title=FAMILY_TITLES.get(family, family))
    return ax


def slopes_by_paraphrase(by_paraphrase: pd.DataFrame, emotions: list[str], ax):
    """Every judging paraphrase's slope, the family beside its control."""
    rows = by_paraphrase[by_paraphrase.emotion.isin(emotions)].replace({"family": FAMILY_TITLES})
    ax.axhspan(-1.96, 1.96, color="0.86", linewidth=0, zorder=0)
    ax.axhline(0, color="0.6", linewidth=0.8)
    sns.stripplot(
        data=rows,
        x="emotion",
        y="slope",
        hue="family",
        order=emotions,
        dodge=True,
        jitter=0.12,
        size=5,
        palette=["#c8452f", "0.45"],
        ax=ax,
    )
    ax.set(xlabel="", ylabel="slope, sd of null")
    ax.legend(title="", loc="best", fontsize="small")
    return ax


def paper_way(ours: pd.DataFrame, theirs: pd.DataFrame, axes):
    """One prompt in milligrams, read before the reply: the paper's curves beside ours."""
    left, right = axes
    for name, colour in colours_for(list(dict.fromkeys(ours.emotion))).items():
        curve = theirs[theirs.emotion == name]
        left.plot(curve.value, curve.reading, color=colour, marker="o", markersize=3.5, label=name)
        curve = ours[ours.emotion == name]
        right.plot(curve.value * 500, curve.reading, color=colour, marker="o", markersize=3.5, label=name)
    null_band(right, curve.value * 500, curve.null_low, curve.null_high, "random directions, 95 %")
    for ax in axes:
        ax.set(xscale="log", xlabel="milligrams", ylabel="cosine")
        ax.axhline(0, **{**PAPER_LINE, "linewidth": 0.6, "linestyle": "-"})
    left.set_title("the paper (read off its Fig. 3)")
    right.set_title("here, centred")
    right.legend(fontsize="small", ncols=2)
    return axes


def _dose_axis(ax, values: pd.Series) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(values.unique())
    ax.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
