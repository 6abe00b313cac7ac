"""Figures of the chapter on known artefacts: right in blue, wrong in red, nulls in grey."""

import numpy as np
import pandas as pd

from emolib.figures.look import BLUE, GREEN, RED, null_band

RIGHT, WRONG = BLUE, RED
PLACE_COLOURS = (BLUE, RED, "#e39b8f", GREEN, "#8c564b", "0.45")


def misread_scores(padding: pd.DataFrame, probe: pd.DataFrame, axes):
    """Left: every activity's score read at `mask.sum() - 1`, against the right one. Right: what the
    emotions' correlations with it become."""
    left, right = axes
    for ax, table, reference in ((left, padding, "score"), (right, probe, "score")):
        for side, colour in (("right", RIGHT), ("left", WRONG)):
            ax.scatter(table[reference], table[side], s=14, color=colour, alpha=0.8, label=f"padded {side}")
        ax.axline((0, 0), slope=1, color="0.7", linewidth=0.8, zorder=0)
        ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    left.set(xlabel="disposition, read rightly", ylabel="read at mask.sum() - 1", title="activities")
    right.set(xlabel="r with disposition, read rightly", ylabel="the same, misread", title="emotions")
    left.legend(fontsize="small")
    return axes


def decompositions(components: pd.DataFrame, axes):
    """What the first two components follow, recipe by recipe, with the band of shuffled ratings."""
    panels = (
        ("pc1_pleasure_r", "PC1 and pleasure", "pc1"),
        ("pc2_arousal_r", "PC2 and arousal", "pc2"),
        ("pc1_norm_r", "PC1 and length", None),
        ("pc1_share", "variance of PC1, share", None),
    )
    rows = components.iloc[::-1].reset_index(drop=True)
    colours = [RIGHT if name == components.recipe.iloc[0] else WRONG for name in rows.recipe]
    for ax, (column, title, null) in zip(axes, panels, strict=True):
        if null:
            low, high = rows[f"{null}_null_low"].min(), rows[f"{null}_null_high"].max()
            ax.axvspan(low, high, color="0.86", linewidth=0, zorder=0)
        ax.hlines(rows.index, 0, rows[column], color=colours, linewidth=2)
        ax.scatter(rows[column], rows.index, color=colours, zorder=3)
        for row, value in enumerate(rows[column]):
            ax.annotate(
                f"{value:.2f}",
                (value, row),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.set_title(title, fontsize=9)
        ax.set(xlim=(min(-0.45 if null else 0, rows[column].min() - 0.1), 1.08), ylim=(-0.5, len(rows) - 0.3))
        ax.set_yticks(rows.index, rows.recipe if ax is axes[0] else [])
        ax.tick_params(labelsize=8)
    return axes


def contrasts(contrast: pd.DataFrame, ax):
    """Every emotion's contrast with one half of the activities steered, and with both."""
    rows = contrast.sort_values("probe_r")
    ax.vlines(rows.probe_r, rows.right, rows.wrong, color="0.8", linewidth=0.8, zorder=0)
    ax.scatter(rows.probe_r, rows.right, s=20, color=RIGHT, label="one half steered")
    ax.scatter(rows.probe_r, rows.wrong, s=20, color=WRONG, label="both steered")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="probe correlation", ylabel="steered half minus control half, log-odds")
    ax.legend(fontsize="small")
    return ax


def scenario_accuracy(centring: pd.DataFrame, ax):
    """Share of scenarios whose own emotion reads highest, per layer: centred, not centred, misread."""
    styles = {
        "centred": {"color": RIGHT},
        "not centred": {"color": WRONG},
        "centred, padded on the left": {"color": WRONG, "linestyle": ":"},
    }
    null = centring[centring.way == "centred"]
    null_band(ax, null.layer, null.null_low, null.null_high, "labels shuffled, 95 %")
    for way, style in styles.items():
        rows = centring[centring.way == way]
        ax.plot(rows.layer, rows.accuracy, label=way, **style)
    ax.set(xlabel="layer", ylabel="own emotion first of twelve", ylim=(0, 1))
    ax.legend(fontsize="small")
    return ax


def scenario_winners(winners: pd.DataFrame, ax):
    """How many scenarios each vector wins, centred and not, with a line at how many are its own."""
    names = list(dict.fromkeys(winners.emotion))
    for way, colour, shift in (("centred", RIGHT, 0.2), ("not centred", WRONG, -0.2)):
        rows = winners[winners.way == way].set_index("emotion").loc[names]
        ax.barh(np.arange(len(names)) + shift, rows.wins, height=0.4, color=colour, label=way)
    ax.axvline(winners.own.iloc[0], color="0.25", linewidth=1, label="its own")
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    ax.set(xlabel="scenarios won")
    ax.legend(fontsize="small")
    return ax


def norms_by_place(norms: pd.DataFrame, axes):
    """Length of the stream per layer and place, and the share of its square in the largest dimensions."""
    left, right = axes
    for colour, (place, rows) in zip(PLACE_COLOURS, norms.groupby("place", sort=False), strict=False):
        left.plot(rows.layer, rows.norm, color=colour, label=place)
        right.plot(rows.layer, rows.massive_share, color=colour, label=place)
    rows = norms[norms.place == norms.place.iloc[0]]
    left.plot(rows.layer, rows.vectors, color="black", linestyle=":", label="emotion vectors, median")
    left.set(xlabel="layer", ylabel="length", yscale="log")
    right.set(xlabel="layer", ylabel="share of two dimensions in its square", ylim=(0, 1.02))
    left.figure.legend(
        *left.get_legend_handles_labels(), fontsize="small", ncols=3, loc="outside upper center"
    )
    return axes


def curves_that_pass(curves: pd.DataFrame, axes):
    """Share of directions that pass for following the dose, over all wordings and positions; a panel a test.

    Each point is one wording at one position. The dashed line is what independent readings would give.
    """
    kinds = list(dict.fromkeys(curves.directions))
    families = {"tylenol": WRONG, "chalk": "0.45"}
    for ax, (test, rows) in zip(axes, curves.groupby("test", sort=False), strict=True):
        for (family, colour), shift in zip(families.items(), (-0.16, 0.16), strict=True):
            for x, kind in enumerate(kinds):
                shown = rows[(rows.family == family) & (rows.directions == kind)]
                spread = np.linspace(-0.09, 0.09, len(shown))
                label = {"tylenol": "tablets", "chalk": "chalk (control)"}[family] if x == 0 else None
                ax.scatter(x + shift + spread, shown.passes, s=14, color=colour, alpha=0.8, label=label)
                ax.hlines(shown.passes.mean(), x + shift - 0.12, x + shift + 0.12, color=colour, linewidth=2)
        ax.axhline(
            rows.independent.iloc[0], color="0.25", linestyle="--", linewidth=1, label="independent readings"
        )
        ax.set_xticks(
            range(len(kinds)), [kind.replace(" of the ", "\nof the ").replace(", ", ",\n") for kind in kinds]
        )
        ax.tick_params(axis="x", labelsize=8)
        ax.set(title=test, ylim=(-0.02, 1.1 * curves.passes.max()))
    axes[0].set_ylabel("share of directions that pass")
    axes[0].legend(fontsize="small")
    return axes
