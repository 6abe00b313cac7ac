"""The panel on steered preferences: choose an emotion and a strength, and watch the activities move."""

import json
from importlib import resources

import numpy as np
import pandas as pd

from emolib.errors import EmolibError

COLUMNS = ("emotion", "strength", "activity", "category", "text", "disposition")
CELL = ["emotion", "strength", "activity"]
START_EMOTION, START_STRENGTH = "blissful", 0.3


def preference_panel(moves: pd.DataFrame) -> str:
    """A self-contained piece of HTML in which a reader steers the activities.

    `moves` has one row per emotion, strength and activity: emotion, strength (share of the stream's
    mean norm; 0 is unsteered), activity (its id), category, text (an infinitive), disposition (log-odds
    of the approach over the avoidance words). The page gets every disposition rounded to 0.01; the
    means over all activities are taken before rounding.

    Raises EmolibError if a column or a cell is missing, a cell is there twice, a value is not finite,
    an activity has two texts or categories, there is no strength 0, or an emotion changes the
    unsteered dispositions.
    """
    _check(moves)
    template = resources.files("emolib.figures").joinpath("panel.html").read_text(encoding="utf-8")
    # No text may end the script element (`</script`) or open a comment in it (`<!--`).
    data = json.dumps(_data(moves), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return template.replace("{{data}}", data)


def _check(moves: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in moves]
    if missing:
        raise EmolibError(f"the table of moves has no column {', '.join(missing)}; it needs {COLUMNS}")
    if moves.empty:
        raise EmolibError("the table of moves has no rows")
    for name in ("strength", "disposition"):
        bad = moves[~np.isfinite(pd.to_numeric(moves[name], errors="coerce").astype(float))]
        if len(bad):
            where = ", ".join(str(bad.iloc[0][key]) for key in CELL)
            raise EmolibError(f"the table of moves has a {name} that is not finite: {where}")
    for name in ("emotion", "activity", "category", "text"):
        if moves[name].isna().any():
            raise EmolibError(f"the table of moves has a row without {name}")
    twice = moves[moves.duplicated(CELL)]
    if len(twice):
        raise EmolibError(f"the table of moves has a cell twice: {_named(twice[CELL].iloc[0])}")
    every = pd.MultiIndex.from_product([moves[key].unique() for key in CELL])
    absent = every[~every.isin(pd.MultiIndex.from_frame(moves[CELL]))]
    if len(absent):
        raise EmolibError(f"the table of moves lacks {len(absent)} cells, first {_named(absent[0])}")
    described = moves[["activity", "category", "text"]].drop_duplicates()
    if described.activity.duplicated().any():
        name = described.activity[described.activity.duplicated()].iloc[0]
        raise EmolibError(f"the table of moves gives the activity {name} two texts or categories")
    if not (moves.strength == 0).any():
        raise EmolibError("the table of moves has no strength 0, so nothing is unsteered")
    spread = moves[moves.strength == 0].groupby("activity").disposition.agg(np.ptp)
    if spread.max() > 1e-6:
        raise EmolibError(f"the table of moves has two unsteered dispositions of {spread.idxmax()}")


def _named(cell) -> str:
    return "{}, {:+g}, {}".format(*cell)


def _data(moves: pd.DataFrame) -> dict:
    """What the template's script reads; `values` is (n_emotions, n_strengths, n_activities)."""
    activities = _in_rows(moves)
    strengths = sorted(moves.strength.unique())
    means = moves.pivot_table(index="emotion", columns="strength", values="disposition", aggfunc="mean")
    strongest = (means[strengths[-1]] - means[0]).abs().sort_values(ascending=False, kind="stable")
    emotions = strongest.index.tolist()
    table = moves.set_index(CELL).disposition.astype(float)
    cells = pd.MultiIndex.from_product([emotions, strengths, activities.activity])
    values = table.loc[cells].to_numpy().reshape(len(emotions), len(strengths), len(activities))
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low) or 1.0
    return {
        "emotions": emotions,
        "strengths": [float(s) for s in strengths],
        "activities": activities[["activity", "category", "text"]].to_numpy().tolist(),
        # Adding zero turns -0.0 into 0.0.
        "values": (values.round(2) + 0.0).tolist(),
        "means": means.loc[emotions, strengths].to_numpy().round(4).tolist(),
        "range": [round(low - margin, 3), round(high + margin, 3)],
        "start": [
            emotions.index(START_EMOTION) if START_EMOTION in emotions else 0,
            min(range(len(strengths)), key=lambda i: (strengths[i] <= 0, abs(strengths[i] - START_STRENGTH))),
        ],
    }


def _in_rows(moves: pd.DataFrame) -> pd.DataFrame:
    """The activities in the order of drawing: best-liked category first, inside it the least-liked first."""
    unsteered = moves[moves.strength == 0].drop_duplicates("activity")
    liked = unsteered.groupby("category").disposition.transform("mean")
    return unsteered.assign(liked=liked).sort_values(
        ["liked", "category", "disposition"], ascending=[False, True, True]
    )
