"""One training at several doses: what a reader changes and runs again.

A dose multiplies what the training added to the weights: 0 is the model as it was, 1 what was trained.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from emolib import stats
from emolib.experiments.posttraining import Moved, arousal_axis
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors

DOSES = (0.0, 0.5, 1.0, 1.5)
# At which of them a few replies are written.
SPOKEN_DOSES = (0.0, 1.0)


def run(
    states: Mapping[float, np.ndarray],
    losses: Sequence[float],
    replies: pd.DataFrame,
    vectors: EmotionVectors,
    arousal: pd.Series,
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """Tables of one training: losses, shift along arousal by dose, every emotion's shift, replies.

    `states` holds by dose (0 among them) states (n_messages, width) just before the reply, at `layer`;
    `replies` has dose, message and reply; `arousal` human ratings by emotion.
    """
    directions = stats.random_directions(vectors.at(layer), scale.n_null, np.random.default_rng(seed))
    axis = arousal_axis(vectors, arousal, layer)
    moved = {
        dose: Moved.of(states[0.0], after, vectors.at(layer), axis, directions)
        for dose, after in states.items()
    }
    rows = []
    for dose, each in moved.items():
        null_low, null_high = stats.band(each.null.mean(axis=0))
        low, high = stats.mean_t_interval(each.arousal)
        rows.append(
            {
                "dose": dose,
                "arousal": each.arousal.mean(),
                "low": low,
                "high": high,
                "null_low": null_low,
                "null_high": null_high,
                "n": len(each.arousal),
            }
        )
    whole = moved[1.0].shift
    intervals = np.array([stats.mean_t_interval(values) for values in whole.T])
    null_low, null_high = stats.band(moved[1.0].null.mean(axis=0))
    tables = {
        "losses": pd.DataFrame({"step": np.arange(1, len(losses) + 1), "loss": losses}),
        "doses": pd.DataFrame(rows),
        "shifts": pd.DataFrame(
            {
                "emotion": vectors.names,
                "shift": whole.mean(axis=0),
                "low": intervals[:, 0],
                "high": intervals[:, 1],
                "null_low": null_low,
                "null_high": null_high,
            }
        ),
        "replies": replies,
    }
    return Outcome(tables)
