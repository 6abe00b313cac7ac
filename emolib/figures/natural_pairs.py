"""Figures of a model before and after its makers' post-training: a shade for each stage, the last darkest."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns

from emolib.figures.look import NULL_COLOUR, null_band, shift_dots

# What the paper's post-training raises most, and what it lowers most (section 3.5).
RAISED = ("brooding", "gloomy", "reflective")
LOWERED = ("playful", "exuberant", "enthusiastic", "spiteful")


def left_to_shift(shifts: pd.DataFrame, ax, emotions: Sequence[str] = (*RAISED, *LOWERED)):
    """What is left to shift from each stage to the final model, for the paper's emotions.

    Bars are intervals over messages, diamonds the paper's shifts. Grey: random directions from the first
    stage on.
    """
    rows = shifts[(shifts.kind == "all") & shifts.emotion.isin(emotions)]
    colours = _shades(rows.stage)
    first = rows[rows.stage == next(iter(colours))]
    ax.axvspan(first.null_low.min(), first.null_high.max(), color=NULL_COLOUR, linewidth=0, zorder=0)
    for offset, (stage, colour) in zip(_offsets(len(colours)), colours.items(), strict=True):
        dots = rows[rows.stage == stage].set_index("emotion").loc[list(emotions)]
        shift_dots(dots, offset, ax, color=colour, label=f"from {stage}")
    papers = first.set_index("emotion").paper.loc[list(emotions)]
    ax.scatter(
        papers, range(len(papers)), marker="D", s=22, facecolors="none", edgecolors="0.2", label="paper"
    )
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_yticks(range(len(emotions)), emotions)
    ax.set(xlabel="shift, cosine", ylim=(len(emotions) - 0.4, -0.6))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    ax.tick_params(axis="y", length=0)
    ax.legend(fontsize="x-small")
    return ax


def shift_spread_by_layer(by_layer: pd.DataFrame, ax):
    """How far the emotions' shifts from the first stage to the final model spread, layer by layer.

    Dotted: the spread of random directions' shifts.
    """
    rows = by_layer.drop_duplicates("layer").sort_values("layer")
    ax.plot(rows.layer, rows.spread, color="0.2", label="emotions")
    ax.fill_between(rows.layer, rows.spread_low, rows.spread_high, color="0.2", alpha=0.15, linewidth=0)
    ax.plot(rows.layer, rows.spread_random, color="0.5", linestyle=":", label="random directions")
    ax.set(xlabel="layer", ylabel="spread of shifts, cosine", ylim=(0, None))
    ax.legend(fontsize="x-small")
    return ax


def turned_vectors(rotation: pd.DataFrame, ax):
    """Cosine of the vectors made on each stage and on the final model: median and nine tenths of emotions.

    Grey: vectors of different emotions.
    """
    for stage, colour in _shades(rotation.stage).items():
        rows = rotation[rotation.stage == stage].groupby("layer")
        null_low, null_high = rows.null_low.min(), rows.null_high.max()
        null_band(ax, null_low.index, null_low, null_high, None)
        low, middle, high = (rows.cosine.quantile(q) for q in (0.05, 0.5, 0.95))
        ax.plot(middle.index, middle, color=colour, label=stage)
        ax.fill_between(middle.index, low, high, color=colour, alpha=0.12, linewidth=0)
    ax.set(xlabel="layer", ylabel="cosine of vectors")
    ax.legend(fontsize="x-small")
    return ax


def _shades(stages: pd.Series) -> dict[str, tuple]:
    names = list(dict.fromkeys(stages))
    return dict(zip(names, sns.color_palette("flare", len(names)), strict=True))


def _offsets(n: int) -> np.ndarray:
    return np.linspace(-0.2, 0.2, n) if n > 1 else np.zeros(1)
