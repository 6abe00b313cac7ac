"""Figures of the chapters on post-training: a colour for each training, the placebo grey."""

import html

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from pandas.io.formats.style import Styler

from emolib import claims
from emolib.figures.look import BLUE, DIVERGING, GREEN, NULL_COLOUR, RED, VIOLET, null_band, shift_dots
from emolib.figures.tokens import joined, token_span

BEFORE = "before"
COLOURS = {BEFORE: "0.2", "composed": BLUE, "exuberant": RED, "flat": GREEN, "placebo": "0.55"}
KINDS = ("neutral", "challenging")
# How a training may shift what it was expected to, by the end of the claim's name.
SIDES = {"up": (0, np.inf), "down": (-np.inf, 0), "flat": (-1, 1)}
MEASURES = {
    "neutral_r": "before and after, neutral messages, r",
    "challenging_r": "before and after, under strain, r",
    "shift_consistency_r": "shifts on neutral messages and under strain, r",
    "shift_larger_under_strain": "spread of the shifts, under strain minus neutral, cosine",
    "shift_vs_valence_r": "shift and rated pleasure, r",
    "shift_vs_arousal_r": "shift and rated arousal, r",
    "paper_rank_r": "shift here and in the paper, rank correlation",
}
N_SMOOTHED = 5


def colour_of(training: str) -> str:
    """The colour of a training; one that the chapters do not know is violet."""
    return COLOURS.get(training, VIOLET)


def training_losses(losses: pd.DataFrame, ax):
    """Loss of every step (faint), and its running mean, one line per training and seed."""
    for (training, _), rows in losses.groupby(["training", "seed"], sort=False):
        rows, colour = rows.sort_values("step"), colour_of(training)
        ax.plot(rows.step, rows.loss, color=colour, alpha=0.25, linewidth=0.8)
        smooth = rows.loss.rolling(N_SMOOTHED, center=True, min_periods=1).mean()
        ax.plot(rows.step, smooth, color=colour, label=training)
    ax.set(xlabel="step", ylabel="loss per reply token")
    _legend_of_each(ax, ax)
    return ax


def expected_shifts(expected: pd.DataFrame, axes):
    """Every training on every quantity that had an expectation, one panel a quantity.

    Grey: random directions in the same training. Tinted: the side that the ledger expected.
    """
    trainings = _in_order(expected.training)
    for ax, (what, rows) in zip(axes, expected.groupby("what", sort=False), strict=True):
        reach = 1.15 * rows[["low", "high", "null_low", "null_high"]].abs().to_numpy().max()
        for row in rows.itertuples():
            at, colour = trainings.index(row.training), colour_of(row.training)
            if side := _expected_side(row.training, what):
                low, high = np.clip(side, -reach, reach)
                ax.barh(at, high - low, left=low, height=0.9, color=colour, alpha=0.13, linewidth=0, zorder=0)
            ax.barh(
                at,
                row.null_high - row.null_low,
                left=row.null_low,
                height=0.5,
                color=NULL_COLOUR,
                linewidth=0,
            )
            ax.hlines(at, row.low, row.high, color=colour, linewidth=2)
            ax.scatter(row.z, at, color=colour, s=30, zorder=3)
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.set_yticks(range(len(trainings)), trainings if ax is axes[0] else [])
        ax.set(title=what, xlim=(-reach, reach), ylim=(len(trainings) - 0.4, -0.6))
        ax.tick_params(axis="y", length=0)
    axes[len(axes) // 2].set_xlabel("mean shift, sd of random directions")
    return axes


def shift_planes(shifts: pd.DataFrame, ratings: pd.DataFrame, axes, n_named: int = 7):
    """Words where people put them by pleasure and arousal, coloured by their shift; a panel per training.

    `ratings` is indexed by emotion. The words that shift most in a training are named.
    """
    rows = shifts[shifts.kind == "all"].join(ratings[["pleasure", "arousal"]], on="emotion", how="inner")
    limit = rows["shift"].abs().max()
    for ax, (training, words) in zip(axes.flat, rows.groupby("training", sort=False), strict=True):
        shown = ax.scatter(
            words.pleasure,
            words.arousal,
            c=words["shift"],
            cmap=DIVERGING,
            vmin=-limit,
            vmax=limit,
            s=34,
            edgecolors="0.45",
            linewidths=0.5,
        )
        _name(words, words["shift"], "pleasure", "arousal", n_named, ax)
        ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        ax.set_title(training, color=colour_of(training))
    figure = axes.flat[0].figure
    figure.supxlabel("rated pleasure", fontsize="medium")
    figure.supylabel("rated arousal", fontsize="medium")
    figure.colorbar(shown, ax=axes, label="shift, cosine", shrink=0.6)
    return axes


def ranked_shifts(shifts: pd.DataFrame, ax, n: int = 12):
    """The emotions that one training raises and lowers most, with intervals, a dot per kind of message.

    The rows are those of one training. Neutral messages are drawn hollow. The null band is drawn where
    the table has one.
    """
    ranked = shifts.groupby("emotion")["shift"].mean().sort_values(ascending=False).index
    # A table of few emotions has no middle to leave out.
    named = list(ranked) if len(ranked) <= 2 * n else [*ranked[:n], *ranked[-n:]]
    rows = shifts[shifts.emotion.isin(named)]
    if "null_low" in rows:
        ax.axvspan(rows.null_low.min(), rows.null_high.max(), color=NULL_COLOUR, linewidth=0, zorder=0)
    kinds = list(dict.fromkeys(rows.kind))
    for offset, kind in zip(np.linspace(-0.17, 0.17, len(kinds)) * (len(kinds) > 1), kinds, strict=True):
        dots = rows[rows.kind == kind].set_index("emotion").loc[named]
        shift_dots(
            dots,
            offset,
            ax,
            color=colour_of(rows.training.iloc[0]),
            markerfacecolor="white" if kind == "neutral" else None,
            label=kind,
        )
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_yticks(range(len(named)), named, fontsize=8)
    ax.set(xlabel="shift, cosine", ylim=(len(named) - 0.4, -0.6))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    ax.tick_params(axis="y", length=0)
    return ax


def before_and_after(shifts: pd.DataFrame, which: str, axes, by: str = "training", after: str | None = None):
    """All emotions: after against before on neutral messages, under strain, and the two shifts.

    The rows are those whose column `by` is `which`: a training, or a stage before the model called `after`.
    Three axes; each panel's title has the correlation, the farthest emotions are named.
    """
    first, last = ("before", f"after {which}") if after is None else (which, after)
    table = shifts[shifts[by] == which].pivot(index="emotion", columns="kind")
    for ax, kind in zip(axes[:2], KINDS, strict=True):
        words = pd.DataFrame({name: table[name][kind] for name in ("before", "after", "shift")})
        ax.axline((words.before.mean(),) * 2, slope=1, color="0.7", linewidth=0.8, zorder=0)
        _scatter(words, "before", "after", words["shift"], which, ax)
        ax.set(xlabel=f"{first}, {kind}", ylabel=last)
    words = table["shift"]
    _scatter(words, "neutral", "challenging", words.sum(axis=1), which, axes[2])
    axes[2].axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes[2].axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axes[2].set(xlabel="shift, neutral", ylabel="shift, challenging")
    return axes


def shifts_by_layer(by_layer: pd.DataFrame, axes):
    """Mean shift of what had an expectation in every layer, one panel each; the null bands overlap."""
    for ax, (what, rows) in zip(axes, by_layer.groupby("what", sort=False), strict=True):
        for training, curve in rows.groupby("training", sort=False):
            null_band(ax, curve.layer, curve.null_low, curve.null_high, None)
            ax.plot(curve.layer, curve["shift"], color=colour_of(training), label=training)
            ax.fill_between(
                curve.layer, curve.low, curve.high, color=colour_of(training), alpha=0.15, linewidth=0
            )
        ax.axhline(0, color="0.6", linewidth=0.8)
        ax.set(title=what, xlabel="layer", ylabel="shift, cosine" if ax is axes[0] else "")
    _legend_of_each(axes[0].figure, axes[0], ncols=4, loc="outside upper center")
    return axes


def shift_similarity_maps(similarity: pd.DataFrame, axes):
    """Correlation over emotions between the shifts in any two layers; one panel a training."""
    for ax, (training, rows) in zip(axes, similarity.groupby("training", sort=False), strict=True):
        table = rows.pivot(index="layer", columns="other", values="r")
        sns.heatmap(
            table,
            ax=ax,
            cmap=DIVERGING,
            center=0,
            vmin=-1,
            vmax=1,
            square=True,
            xticklabels=10,
            yticklabels=10,
            cbar=False,
        )
        ax.set(xlabel="layer", ylabel="layer" if ax is axes[0] else "", title=training)
        ax.tick_params(length=0, rotation=0)
    bar = {"location": "bottom", "shrink": 0.5, "aspect": 30}
    axes[0].figure.colorbar(axes[-1].collections[0], ax=axes, label="r", **bar)
    return axes


def rotation(rotation: pd.DataFrame, ax):
    """Cosine of an emotion's vectors made before and after, by layer: median and nine tenths of emotions."""
    for training, rows in rotation.groupby("training", sort=False):
        colour = colour_of(training)
        ax.plot(rows.layer, rows["median"], color=colour, label=training)
        ax.fill_between(rows.layer, rows.low, rows.high, color=colour, alpha=0.12, linewidth=0)
    ax.set(xlabel="layer", ylabel="cosine of vectors")
    return ax


def weight_shares(weights: pd.DataFrame, axes):
    """Share of the squared weight change that lies in the emotion space, by layer; a panel per side.

    Grey: random subspaces of the same size. Between the dotted lines: random subspaces of what neutral
    texts span.
    """
    titles = {"reads": "what it reads", "writes": "what it writes"}
    for ax, (side, rows) in zip(axes, weights.groupby("side", sort=True), strict=True):
        for training, curve in rows.groupby("training", sort=False):
            null_band(ax, curve.layer, curve.null_low, curve.null_high, None)
            ax.plot(curve.layer, curve["share"], color=colour_of(training), label=training)
        stream = rows.groupby("layer").agg(low=("stream_low", "min"), high=("stream_high", "max"))
        for bound in (stream.low, stream.high):
            ax.plot(bound.index, bound, color="0.3", linestyle=":", linewidth=1)
        ax.set(xlabel="layer", title=titles[side])
    axes[0].set_ylabel("share in the emotion space")
    # Only when all is drawn: a limit set before would keep what the axes reached until then.
    for ax in axes:
        ax.set_ylim(bottom=0)
    _legend_of_each(axes[0], axes[0])
    return axes


def text_shifts(shifts: pd.DataFrame, axes):
    """Shift in the sampled replies against the shift just before the reply; one panel a training."""
    for ax, (training, words) in zip(axes.flat, shifts.groupby("training", sort=False), strict=True):
        _scatter(words.set_index("emotion"), "before_reply", "in_text", words.in_text, training, ax)
        ax.set_title(f"{training}, {_r(words.before_reply, words.in_text)}", color=colour_of(training))
        ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    figure = axes.flat[0].figure
    figure.supxlabel("shift just before the reply, cosine", fontsize="medium")
    figure.supylabel("shift over the sampled replies, cosine", fontsize="medium")
    return axes


def text_specificity(specificity: pd.DataFrame, axes):
    """Agreement of every training's reading with every training's words: mean over seeds and their range.

    One panel for the whole shifts, one for what goes beyond the placebo's.
    """
    for ax, (what, rows) in zip(axes, specificity.groupby("what", sort=False), strict=True):
        order = _in_order(rows.reading)
        r = rows.groupby(["reading", "text"]).r.agg(["mean", "min", "max"])
        written = [
            _signed(mean, 2) + (f"\n{_signed(low, 2)} … {_signed(high, 2)}" if low < high else "")
            for mean, low, high in r.to_numpy()
        ]
        means, written = (
            each.unstack().loc[order, order] for each in (r["mean"], pd.Series(written, index=r.index))
        )
        sns.heatmap(
            means,
            ax=ax,
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            annot=written,
            fmt="",
            annot_kws={"size": 6.5},
            square=True,
            cbar=False,
        )
        ax.set(
            xlabel="words of the replies",
            ylabel="reading before the reply" if ax is axes[0] else "",
            title=what,
        )
        ax.tick_params(length=0)
        ax.tick_params(axis="y", rotation=0)
    return axes


def dose_curve(doses: pd.DataFrame, ax):
    """Shift of arousal against the share of the adapter that is added, with the null band."""
    doses = doses.sort_values("dose")
    null_band(ax, doses.dose, doses.null_low, doses.null_high, "random directions, 95 %")
    ax.plot(doses.dose, doses.arousal, color=VIOLET, marker="o", markersize=4)
    ax.fill_between(doses.dose, doses.low, doses.high, color=VIOLET, alpha=0.15, linewidth=0)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.axvline(1, color="0.75", linewidth=0.8, linestyle=":")
    ax.set(xlabel="dose (1: as trained)", ylabel="shift of arousal, cosine")
    ax.legend(fontsize="small", loc="best")
    return ax


def agreement_table(agreement: pd.DataFrame, by: str = "training") -> Styler:
    """Each training, or stage, on the paper's measures beside the paper's values; bold: outside the null."""
    table = pd.DataFrame(
        {
            name: {row.measure: _with_interval(row) for row in rows.itertuples()}
            for name, rows in agreement.groupby(by, sort=False)
        }
    )
    entries = {measure: claims.ledger()[f"posttraining.natural.{measure}"] for measure in table.index}
    papers = {m: "" if e.paper is None else _signed(e.paper, 2) for m, e in entries.items()}
    table.insert(0, "the paper", pd.Series(papers))
    return table.rename(MEASURES).style.set_table_attributes('class="wordy"')


def preferences_table(preferences: pd.DataFrame) -> Styler:
    """What each model prefers and what moves it; small print is an interval."""
    table = preferences.drop(columns=["steering_low", "steering_high"])
    columns = ["steering_r", "steering_low", "steering_high"]
    each = ([_signed(value, 2) for value in row] for row in preferences[columns].to_numpy())
    table["steering_r"] = [f"{r}<br><small>{low} … {high}</small>" for r, low, high in each]
    return table.style.format(precision=2, na_rep="").hide(axis="index")


def seeds_table(by_seed: pd.DataFrame) -> Styler:
    """Every claim's estimate and verdict by training seed; the chapter's name is left off the claims."""
    short = by_seed.assign(claim=by_seed.claim.str.removeprefix("posttraining."))
    return short.pivot(index="claim", columns="seed", values=["estimate", "verdict"]).style.format(
        precision=2
    )


def replies_table(replies: pd.DataFrame, n_messages: int = 2, by: str = "training") -> Styler:
    """What the models wrote to the first messages, one below the other."""
    shown = replies[replies.message.isin(replies.message.unique()[:n_messages])]
    # Rows of one message stand together, so that it is printed once.
    shown = shown.sort_values("message", key=lambda m: m.map(list(m.unique()).index), kind="stable")
    table = shown.set_index(["message", by])[["reply"]].style.format(escape="html")
    table = table.format_index(lambda label: html.escape(f"{label:g}" if by == "dose" else label), level=1)
    return table.format_index(escape="html", level=0).set_table_attributes('class="replies"')


def token_maps(tokens: pd.DataFrame, trainings: list[str]) -> str:
    """One prompt, token by token: what the model reads before training, and what each training changes.

    Before: the reading above or below its median over the prompt. After: the reading minus that before.
    Colours run to the 99th percentile of the magnitudes over the user's words, one scale for readings
    and one for changes. Text outside them is the chat template. Hovering gives the numbers.
    """
    table = tokens.pivot_table(
        index=["emotion", "position", "token", "part"], columns="training", values="reading", sort=False
    )
    centred = table[BEFORE] - table[BEFORE].groupby("emotion").transform("median")
    shown = {
        f"{BEFORE}: above or below its median": centred,
        **{f"{training}: change": table[training] - table[BEFORE] for training in trainings},
    }
    said = table.index.get_level_values("part") == "user"
    limits = {name: values[said].abs().quantile(0.99) for name, values in shown.items()}
    widest = max(limit for name, limit in limits.items() if not name.startswith(BEFORE))
    parts = []
    for emotion in table.index.unique("emotion"):
        cells = [
            _token_cell(name, values.loc[emotion], limits[name] if name.startswith(BEFORE) else widest)
            for name, values in shown.items()
        ]
        parts.append(f'<p><b>{html.escape(emotion)}</b></p><div class="maps">{"".join(cells)}</div>')
    title = html.escape(str(tokens.prompt.iloc[0]))
    return f'<div class="passage"><p class="passage-title">{title}</p>{"".join(parts)}</div>'


def _token_cell(name: str, values: pd.Series, limit: float) -> str:
    values = values.sort_index(level="position")
    texts = [token.replace("\n", "↵") for token in values.index.get_level_values("token")]
    spans = [
        token_span(text, value, limit, f"{value:+.3f}") for text, value in zip(texts, values, strict=True)
    ]
    return f"<p><small>{html.escape(name)}</small><br>{joined(spans, texts)}</p>"


def _expected_side(training: str, what: str) -> tuple[float, float] | None:
    """Where the ledger expects a training's shift, in standard deviations of random directions."""
    for name, side in SIDES.items():
        entry = claims.ledger().get(f"posttraining.{training}.{what}_{name}")
        if entry is not None:
            return tuple(bound * (entry.rule.bound or 1) for bound in side)
    return None


def _scatter(words: pd.DataFrame, x: str, y: str, ranked: pd.Series, training: str, ax) -> None:
    """All emotions as dots, r in the title, those at either end of `ranked` named."""
    ax.scatter(words[x], words[y], s=9, color=colour_of(training), alpha=0.6, linewidths=0)
    _name(words.reset_index(), pd.Series(ranked.to_numpy()), x, y, 4, ax)
    ax.set_title(_r(words[x], words[y]))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    ax.yaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
    ax.tick_params(labelsize=8)


def _name(words: pd.DataFrame, ranked: pd.Series, x: str, y: str, n: int, ax) -> None:
    """Write the words at either end of `ranked`, a Series on the index of `words`, beside their dots."""
    ax.margins(x=0.14, y=0.08)
    order = ranked.sort_values().index
    for turn, at in enumerate(dict.fromkeys([*order[: n // 2], *order[-(n - n // 2) :]])):
        row = words.loc[at]
        # Neighbours in rank often lie close together, so they are written to either side in turn.
        shift, align = ((3, 2), "left") if turn % 2 else ((-3, 2), "right")
        place = (row[x], row[y])
        ax.annotate(row.emotion, place, fontsize=7, xytext=shift, textcoords="offset points", ha=align)


def _r(x: pd.Series, y: pd.Series) -> str:
    return f"r = {np.corrcoef(x, y)[0, 1]:.2f}".replace("-", "\N{MINUS SIGN}")


def _with_interval(row) -> str:
    decimals = 4 if row.measure == "shift_larger_under_strain" else 2
    estimate, low, high = (_signed(value, decimals) for value in (row.estimate, row.low, row.high))
    if not row.null_low <= row.estimate <= row.null_high:
        estimate = f"<b>{estimate}</b>"
    return f"{estimate}<br><small>{low} … {high}</small>"


def _signed(value: float, decimals: int) -> str:
    # Adding zero takes the sign off a zero that was rounded to.
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def _in_order(names: pd.Series) -> list[str]:
    return list(dict.fromkeys(names))


def _legend_of_each(place, ax, **options) -> None:
    """A legend in a figure or an Axes, one entry a label of `ax`, however many lines have it."""
    labelled = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    place.legend(labelled.values(), labelled.keys(), fontsize="small", **options)
