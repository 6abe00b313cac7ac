"""One training at several doses, on states whose shift grows with the dose by a known step."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_scale

from emolib import paper
from emolib.experiments import lesson
from emolib.vectors import EmotionVectors

SCALE = small_scale(n_null=200, n_bootstrap=50)
WIDTH, LAYER, N = 96, 3, 25
AROUSAL = paper.human_ratings().arousal
NAMES = tuple(AROUSAL.index)
ORDER = list(AROUSAL.sort_values(kind="stable").index)


@pytest.fixture(scope="module")
def vectors() -> EmotionVectors:
    array = np.random.default_rng(0).standard_normal((len(NAMES), 1, WIDTH)).astype(np.float32)
    return EmotionVectors(array, np.zeros((1, WIDTH), np.float32), NAMES, (LAYER,), {}, "base", "corpus")


def axis(vectors) -> np.ndarray:
    units = {name: v / np.linalg.norm(v) for name, v in zip(NAMES, vectors.at(LAYER), strict=True)}
    high, low = ([units[name] for name in names] for names in (ORDER[-15:], ORDER[:15]))
    return np.mean(high, axis=0) - np.mean(low, axis=0)


def states(along: np.ndarray, step: float) -> dict[float, np.ndarray]:
    """By dose: long states that move along a direction of length one, each a little more or less."""
    rng = np.random.default_rng(1)
    begun = 5 * rng.standard_normal((N, WIDTH))
    begun[:, 0] += 1000
    own = step + 0.5 * rng.standard_normal((N, 1))
    return {dose: begun + dose * own * along for dose in lesson.DOSES}


def run(vectors, read):
    replies = pd.DataFrame({"dose": [0.0, 1.0], "message": "Hello.", "reply": ["Well.", "Oh!"]})
    return lesson.run(read, (3.0, 2.5, 2.0), replies, vectors, AROUSAL, LAYER, SCALE, 0)


def test_a_shift_along_arousal_grows_with_the_dose(vectors):
    along = axis(vectors)
    read = states(along / np.linalg.norm(along), step=10.0)
    table = run(vectors, read)["doses"].set_index("dose")
    assert list(table.index) == list(lesson.DOSES)
    assert tuple(table.loc[0.0, ["arousal", "low", "high", "null_low", "null_high"]]) == (0,) * 5
    for dose, rows in read.items():
        cosines = [
            [row @ along / np.linalg.norm(row) / np.linalg.norm(along) for row in each]
            for each in (rows, read[0.0])
        ]
        assert table.loc[dose, "arousal"] == pytest.approx(np.subtract(*cosines).mean(), abs=1e-9)
        assert table.loc[dose, "arousal"] == pytest.approx(dose * table.loc[1.0, "arousal"], rel=0.02)
        assert table.loc[dose, "n"] == N
        if dose:
            assert table.loc[dose, "low"] > table.loc[dose, "null_high"] > 0 > table.loc[dose, "null_low"]


def test_a_shift_across_the_vectors_stays_among_random_directions(vectors):
    rng = np.random.default_rng(2)
    across = rng.standard_normal(WIDTH)
    along = axis(vectors)
    across -= along * (along @ across) / (along @ along)
    table = run(vectors, states(across / np.linalg.norm(across), step=10.0))["doses"].set_index("dose")
    assert (table.null_low[1:] < table.arousal[1:]).all()
    assert (table.arousal[1:] < table.null_high[1:]).all()


def test_every_emotion_is_shown_at_the_whole_dose_and_losses_by_step(vectors):
    read = states(vectors.at(LAYER)[4] / np.linalg.norm(vectors.at(LAYER)[4]), step=10.0)
    outcome = run(vectors, read)
    table = outcome["shifts"]
    assert tuple(table.emotion) == NAMES
    for row, vector in zip(table.itertuples(), vectors.at(LAYER), strict=True):
        cosines = [
            [state @ vector / np.linalg.norm(state) / np.linalg.norm(vector) for state in read[dose]]
            for dose in (1.0, 0.0)
        ]
        values = np.subtract(*cosines)
        assert row.shift == pytest.approx(values.mean(), abs=1e-8)
        reach = 2.0639 * values.std(ddof=1) / np.sqrt(N)
        assert (row.low, row.high) == pytest.approx((row.shift - reach, row.shift + reach), abs=1e-6)
    assert table["shift"].idxmax() == 4
    assert outcome["losses"].to_dict("list") == {"step": [1, 2, 3], "loss": [3.0, 2.5, 2.0]}
    assert list(outcome["replies"].reply) == ["Well.", "Oh!"]
    assert outcome.claims == []
