"""The book's look: colours by valence, null bands grey, the paper's value a dashed line."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import seaborn as sns

DIVERGING = "vlag"
NULL_COLOUR = "0.86"
PAPER_LINE = {"color": "0.25", "linestyle": "--", "linewidth": 1.2}
RED, BLUE, GREEN, AMBER, VIOLET = "#c8452f", "#2f6fb0", "#3c9a6c", "#d99a2b", "#7c5aa6"
# One colour an emotion wherever it is drawn as a line; further emotions take the spare ones.
EMOTION_COLOURS = {"afraid": RED, "calm": BLUE, "happy": AMBER, "sad": VIOLET}
SPARE_COLOURS = (GREEN, "#8c564b", "#d16ba5", "#4d4d4d", "#17becf", "#9a8c1e")


def use() -> None:
    """Set seaborn's theme and matplotlib's sizes for the whole book; call once per notebook."""
    sns.set_theme(context="notebook", style="ticks", font_scale=0.9)
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 110,
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "legend.frameon": False,
            "figure.constrained_layout.use": True,
        }
    )


def subplots(n_columns: int = 1, n_rows: int = 1, height: float = 3.6, width: float = 7.8, **options):
    """A figure as wide as the book's text; returns (figure, axes) as matplotlib does."""
    return plt.subplots(n_rows, n_columns, figsize=(width, height * n_rows), **options)


def colours_for(emotions: list[str]) -> dict[str, str]:
    """A colour for every emotion, the fixed ones where there are any."""
    spare = iter(SPARE_COLOURS)
    return {name: EMOTION_COLOURS.get(name) or next(spare) for name in emotions}


def null_band(ax, x, low, high, label: str | None = "null, 95 %"):
    """A grey band between two curves, or between two values over the whole width of x."""
    ax.fill_between(x, low, high, color=NULL_COLOUR, linewidth=0, zorder=0, label=label)


def shift_dots(shifts, offset: float, ax, **options) -> None:
    """A dot with its interval for each row, the first at the top; `offset` keeps several sets apart."""
    ax.errorbar(
        shifts["shift"],
        [place + offset for place in range(len(shifts))],
        xerr=[shifts["shift"] - shifts.low, shifts.high - shifts["shift"]],
        fmt="o",
        markersize=4,
        linewidth=1,
        **options,
    )


def paper_line(ax, value: float, label: str = "paper"):
    """A dashed horizontal line at the paper's value."""
    ax.axhline(value, label=label, **PAPER_LINE)
