"""Figures of the chapter on calibration."""

import pandas as pd
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from emolib.experiments.calibration import WANTED_POWER
from emolib.figures.look import BLUE, NULL_COLOUR, RED, SPARE_COLOURS
from emolib.stats import LEVEL

PALETTE = (BLUE, RED, *SPARE_COLOURS)
RECOVERED = {
    "pleasure": "PC1 and true pleasure, r",
    "arousal": "PC2 and true arousal, r",
    "split_half": "vectors from two halves, cosine",
    "scenarios_found": "scenarios found among 12, share",
}


def power_curves(power: pd.DataFrame, chapter: str, ax, ours: float | None = None):
    """How often each claim of a chapter is found at every effect, with binomial intervals.

    Dashed: the power wanted; dotted: where our data lie, when given.
    """
    rows = power[power.chapter == chapter]
    for colour, (claim, curve) in zip(PALETTE, rows.groupby("claim"), strict=False):
        curve = curve.sort_values("effect")
        ax.plot(curve.effect, curve.share, color=colour, marker="o", markersize=3.5, label=_short(claim))
        ax.fill_between(curve.effect, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0)
    ax.axhline(WANTED_POWER, color="0.4", linestyle="--", linewidth=0.8)
    if ours is not None:
        _our_place(ax, ours)
    ax.set(ylim=(-0.02, 1.02), ylabel="found", title=chapter)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.2))
    return ax


def recovery_curves(recovery: pd.DataFrame, ours: float, ax):
    """How near the results come to the truth at every effect; dotted, where our data lie."""
    for colour, (column, label) in zip(PALETTE, RECOVERED.items(), strict=False):
        ax.plot(recovery.effect, recovery[column], color=colour, marker="o", markersize=3.5, label=label)
    _our_place(ax, ours)
    ax.set(xlabel="effect, sd of a story's noise", ylabel="mean over worlds", ylim=(-0.1, 1.02))
    ax.legend(fontsize="small", loc="lower right")
    return ax


def false_find_rates(false_finds: pd.DataFrame, ax):
    """How often each claim is found where there is nothing, one row per claim and kind of nothing."""
    rows = false_finds.sort_values(["data", "claim"], ignore_index=True)
    ax.axvspan(0, rows.nominal.max(), color=NULL_COLOUR, linewidth=0, zorder=0, label="nominal")
    for colour, (data, group) in zip(PALETTE, rows.groupby("data"), strict=False):
        _dots(group, colour, ax, label=data)
    ax.set_yticks(rows.index, [_short(claim) for claim in rows.claim], fontsize=8)
    ax.set(xlabel="found where there is nothing", xlim=(-0.01, 1.01), ylim=(len(rows) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.figure.legend(fontsize="small", loc="outside lower center", ncols=2)
    return ax


def interval_coverage(coverage: pd.DataFrame, ax):
    """How often each 95 % interval holds the truth."""
    _dots(coverage, BLUE, ax)
    ax.axvline(LEVEL, color="0.4", linestyle="--", linewidth=0.8)
    labels = [f"{row.interval}\n{row.over}" for row in coverage.itertuples()]
    ax.set_yticks(coverage.index, labels, fontsize=8)
    ax.set(xlabel="intervals that hold the true number", xlim=(-0.01, 1.01), ylim=(len(coverage) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return ax


def confounds_and_remedies(confounds: pd.DataFrame, ax):
    """The result in worlds with each confound, with and without its remedy, beside worlds without it."""
    kinds = {
        (False, True): ("no confound", "0.6"),
        (True, False): ("confound, no remedy", RED),
        (True, True): ("confound and remedy", BLUE),
    }
    names = list(dict.fromkeys(confounds.confound))
    for offset, ((present, remedy), (label, colour)) in zip((-0.22, 0, 0.22), kinds.items(), strict=True):
        rows = confounds[(confounds.present == present) & (confounds.remedy == remedy)]
        places = [names.index(name) + offset for name in rows.confound]
        ax.errorbar(rows["mean"], places, xerr=rows.sd, fmt="o", color=colour, markersize=5, label=label)
    measures = confounds.drop_duplicates("confound").measure
    ax.set_yticks(
        range(len(names)), [f"{a}\n({b})" for a, b in zip(names, measures, strict=True)], fontsize=8
    )
    ax.set(xlabel="mean and sd over worlds", xlim=(-0.02, 1.05), ylim=(len(names) - 0.5, -0.5))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    sns.despine(ax=ax)
    return ax


def _dots(rows: pd.DataFrame, colour, ax, label: str | None = None) -> None:
    reach = [rows.share - rows.low, rows.high - rows.share]
    ax.errorbar(rows.share, rows.index, xerr=reach, fmt="o", color=colour, markersize=4, label=label)


def _our_place(ax, effect: float) -> None:
    ax.axvline(effect, color="0.2", linestyle=":", linewidth=1.2, label="our data")


def _short(claim: str) -> str:
    return claim.split(".", 1)[1].removeprefix("tylenol.").replace("_", " ")
