"""Figures of the texts themselves."""

import pandas as pd

from emolib.figures.look import BLUE, NULL_COLOUR, PAPER_LINE, RED


def found_without_a_model(surface: pd.DataFrame, content: pd.DataFrame, ax):
    """Share of left-out stories found by each classifier, beside what dealt labels give."""
    surface = surface.assign(label=surface.sees + surface.of.map(" (1 of {})".format), colour=RED)
    content = content.assign(label="words: " + content.finds, colour=BLUE)
    rows = pd.concat([surface, content], ignore_index=True).iloc[::-1].reset_index(drop=True)
    ax.barh(rows.index, rows.null_high - rows.null_low, left=rows.null_low, color=NULL_COLOUR, height=0.7)
    ax.scatter(rows.found, rows.index, c=rows.colour, s=36, zorder=3)
    for row in rows.itertuples():
        ax.annotate(
            f"{row.found:.1%}", (row.found, row.Index), xytext=(7, -3), textcoords="offset points", fontsize=8
        )
    ax.set_yticks(rows.index, rows.label)
    ax.set(xlim=(0, 1.08), xlabel="share of left-out stories found (grey: labels dealt at random, 95 %)")
    return ax


def reliability(table: pd.DataFrame, ax, goal: float = 0.8):
    """Split-half reliability of each kind of vector, and the goal."""
    rows = table.iloc[::-1].reset_index(drop=True)
    ax.barh(rows.index, rows.reliability, color=BLUE, height=0.55)
    for row in rows.itertuples():
        at = max(row.reliability, 0)
        ax.annotate(
            f"{row.reliability:.2f}", (at, row.Index), xytext=(5, -3), textcoords="offset points", fontsize=8
        )
    ax.axvline(goal, **PAPER_LINE)
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_yticks(rows.index, rows.vectors)
    ax.set(xlabel=f"reliability of all texts together (dashed: the goal of {goal})", xlim=(-0.1, 1.05))
    return ax
