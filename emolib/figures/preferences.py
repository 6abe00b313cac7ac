"""Figures of the two chapters on preferences."""

import numpy as np
import pandas as pd
import seaborn as sns

from emolib.figures.look import BLUE, GREEN, PAPER_LINE, RED, colours_for, null_band

N_NAMED = 6
WORD_COLOURS = {"blissful": BLUE, "hostile": RED}


def instrument_scores(items: pd.DataFrame, axes):
    """Every instrument's scores by category of activity, one panel each."""
    names = ["disposition", "rating", "forced choice"]
    main = items[items.part == "main"]
    order = main.groupby("category").disposition.mean().sort_values(ascending=False).index
    for ax, name in zip(axes, names, strict=True):
        sns.stripplot(data=main, x=name, y="category", order=order, color=BLUE, size=4, alpha=0.7, ax=ax)
        means = main.groupby("category")[name].mean().loc[order]
        ax.scatter(means, range(len(order)), marker="|", s=160, color="black", zorder=3)
        ax.set(ylabel="", title=name, xlabel="Elo" if name == "forced choice" else "standard units")
        if ax is not axes[0]:
            ax.set_yticklabels([])
    return axes


def probe_correlations(probe: pd.DataFrame, ax):
    """All emotions ranked by their correlation with the disposition, the extremes named."""
    ranked = probe.sort_values("r").reset_index(drop=True)
    null = ranked.null_of_largest.iloc[0]
    null_band(ax, np.array([-1, len(ranked)]), -null, null, "largest of 171, shuffled, 95 %")
    ax.vlines(ranked.index, ranked.low, ranked.high, color="0.75", linewidth=0.8)
    ax.scatter(ranked.index, ranked.r, s=9, c=np.where(ranked.r > 0, BLUE, RED), zorder=3)
    for rows, place, colour, align in (
        (ranked.tail(N_NAMED).iloc[::-1], (0.02, 0.97), BLUE, "left"),
        (ranked.head(N_NAMED), (0.98, 0.04), RED, "right"),
    ):
        listed = [f"{row.emotion} {row.r:.2f}" for row in rows.itertuples()]
        half = len(listed) // 2
        lines = "\n".join([", ".join(listed[:half]), ", ".join(listed[half:])])
        vertical = "top" if align == "left" else "bottom"
        ax.text(*place, lines, transform=ax.transAxes, fontsize=7.5, color=colour, ha=align, va=vertical)
    for word, colour in WORD_COLOURS.items():
        for row in ranked[ranked.emotion == word].itertuples():
            ax.scatter(row.Index, row.r, s=46, facecolor="none", edgecolor=colour, linewidth=1.5, zorder=4)
            ax.annotate(word, (row.Index, row.r), xytext=(6, -12), textcoords="offset points", color=colour)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="171 emotions, ranked", ylabel="r with disposition", xlim=(-2, len(ranked) + 1))
    ax.set_ylim(-1, 1.15)
    ax.legend(fontsize="small", loc="center right", bbox_to_anchor=(1, 0.3))
    return ax


def probe_by_layer(by_layer: pd.DataFrame, ax, instrument: str = "disposition"):
    """Strongest correlations in every layer, and the band of the largest of all by chance."""
    rows = by_layer[by_layer.instrument == instrument]
    null_band(ax, rows.layer, -rows.null_of_largest, rows.null_of_largest, "largest of 171, shuffled, 95 %")
    ax.plot(rows.layer, rows.highest, color=BLUE, label="highest")
    ax.plot(rows.layer, rows.lowest, color=RED, label="lowest")
    for word, colour in WORD_COLOURS.items():
        ax.plot(rows.layer, rows[word], color=colour, linestyle=":", label=word)
    ax.plot(rows.layer, rows.r_with_pleasure, color=GREEN, label="agreement with rated pleasure")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="layer", ylabel="r", ylim=(-1, 1))
    ax.legend(fontsize="small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def lexical_parts(lexical: pd.DataFrame, ax, part: str = "main"):
    """What the words alone predict, and what the model's reading adds to them."""
    rows = lexical[lexical.part == part].iloc[::-1].reset_index(drop=True)
    ax.hlines(rows.index, rows.low, rows.high, color=BLUE, linewidth=2)
    ax.scatter(rows.r, rows.index, color=BLUE, zorder=3)
    for row in rows.itertuples():
        ax.annotate(
            f"{row.r:.2f}",
            (row.r, row.Index),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_yticks(rows.index, rows.reads)
    ax.set(xlabel="r with disposition, 95 % over activities", ylim=(-0.5, len(rows) - 0.3))
    return ax


def effect_against_probe(effects: pd.DataFrame, random: pd.DataFrame, ax, run: str = "main"):
    """Steering effect of every emotion against its probe correlation, random directions in grey."""
    rows = effects[effects.run == run]
    for colour, (kind, drawn) in zip(("0.55", GREEN), random.groupby("drawn", sort=False), strict=False):
        ax.scatter(drawn.probe_r, drawn.effect, s=9, color=colour, alpha=0.7, label=f"random, {kind}")
    ax.vlines(rows.probe_r, rows.low, rows.high, color="0.7", linewidth=0.8)
    ax.scatter(rows.probe_r, rows.effect, s=22, color=np.where(rows.effect > 0, BLUE, RED), zorder=3)
    ends = rows.sort_values("effect")
    named = [*ends.emotion.head(4), *ends.emotion.tail(4), *WORD_COLOURS]
    for row in rows[rows.emotion.isin(named)].itertuples():
        ax.annotate(
            row.emotion, (row.probe_r, row.effect), xytext=(5, 3), textcoords="offset points", fontsize=8
        )
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="probe correlation", ylabel="change of disposition, log-odds")
    ax.legend(fontsize="small", loc="upper left")
    return ax


def dose_response(dose: pd.DataFrame, emotions: list[str], random: pd.DataFrame, ax):
    """Mean change over activities against strength, with intervals, for a few emotions."""
    low, high = random[random.drawn == random.drawn.iloc[0]].effect.quantile([0.025, 0.975])
    for name, colour in (WORD_COLOURS | colours_for([e for e in emotions if e not in WORD_COLOURS])).items():
        rows = dose[dose.emotion == name]
        ax.plot(rows.strength, rows.effect, color=colour, marker="o", markersize=3.5, label=name)
        ax.fill_between(rows.strength, rows.low, rows.high, color=colour, alpha=0.15, linewidth=0)
    at = 0.3
    ax.vlines(at, low, high, color="0.75", linewidth=7, zorder=0, label="random mixtures at 0.3, 95 %")
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="strength, share of the stream's mean norm", ylabel="change of disposition, log-odds")
    ax.legend(fontsize="small")
    return ax


def effects_by_layer(layers: pd.DataFrame, axes):
    """Where steering works: spread of the effects over emotions, and their r with the probe."""
    left, right = axes
    colours = [BLUE if "–" not in name else GREEN for name in layers.layers]
    left.bar(layers.layers, layers.sd_of_effects, color=colours)
    left.set(xlabel="steered layers", ylabel="sd of effects over emotions, log-odds")
    right.errorbar(
        layers.layers,
        layers.r,
        yerr=[layers.r - layers.low, layers.high - layers.r],
        fmt="o",
        color=BLUE,
    )
    right.axhline(0.85, label="paper, middle layers", **PAPER_LINE)
    right.set(xlabel="steered layers", ylabel="r of effect with probe correlation", ylim=(0, 1.05))
    right.legend(fontsize="small", loc="lower right")
    return axes


def whose_tokens(pairs: pd.DataFrame, axes):
    """Two activities in a prompt, a row of axes per frame: the effect of steering one, the other, or both."""
    for (left, right), (frame, rows) in zip(axes, pairs.groupby("frame", sort=False), strict=True):
        for column, colour, label in (
            ("asked_steered", BLUE, "the one asked about"),
            ("other_steered", "0.5", "the other one (control)"),
        ):
            left.scatter(rows.probe_r, rows[column], s=18, color=colour, label=label)
        left.set(ylabel="change of disposition, log-odds", title=frame)
        for column, colour, label in (
            ("steered_minus_control", BLUE, "only one half steered"),
            ("same_with_both_steered", RED, "both steered (the mistake)"),
        ):
            right.scatter(rows.probe_r, rows[column], s=18, color=colour, label=label)
        right.set(ylabel="steered half minus control half")
        for ax in (left, right):
            ax.axhline(0, color="0.6", linewidth=0.8)
            ax.legend(fontsize="small")
    for ax in axes[-1]:
        ax.set(xlabel="probe correlation")
    return axes


def without_lexical(effects: pd.DataFrame, ax):
    """Effects of the whole vectors against those of the vectors without their lexical direction."""
    table = effects.pivot(index="emotion", columns="run", values="both_ways")
    limit = 1.1 * table[["main", "without_words"]].abs().to_numpy().max()
    ax.plot([-limit, limit], [-limit, limit], color="0.7", linewidth=0.8)
    ax.scatter(table.main, table.without_words, s=18, color=BLUE)
    ax.set(
        xlabel="whole vector, log-odds",
        ylabel="without the lexical direction",
        xlim=(-limit, limit),
        ylim=(-limit, limit),
    )
    return ax
