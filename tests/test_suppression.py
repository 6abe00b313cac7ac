"""Removed or masked: on voices whose readings and words keep or lose a known share of an emotion."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_scale

from emolib.experiments import suppression
from emolib.experiments.suppression import PLACES, Voice
from emolib.vectors import EmotionVectors

SCALE = small_scale(n_null=60, n_bootstrap=200)
WIDTH, LAYERS, LAYER, EACH = 96, (0, 1), 1, 8
EMOTIONS = ("afraid", "angry", "calm", "happy", "proud", "sad")
FELT = ("angry", "bored", "calm", "sad")
MESSAGES = pd.DataFrame(
    [(f"{name}.{i}", name, f"Message {i}.") for name in EMOTIONS for i in range(EACH)],
    columns=["id", "emotion", "message"],
)
RNG = np.random.default_rng(0)
VECTORS = EmotionVectors(
    RNG.standard_normal((len(EMOTIONS) + 1, len(LAYERS), WIDTH)).astype(np.float32),
    np.zeros((len(LAYERS), WIDTH), np.float32),
    (*EMOTIONS, "bored"),
    LAYERS,
    {},
    "base",
    "corpus",
)
HIDDEN = RNG.standard_normal((3 * len(FELT), WIDTH))
HIDDEN_FELT = list(FELT) * 3
NEUTRAL = RNG.standard_normal((20, len(LAYERS), WIDTH)) * RNG.uniform(0.1, 3, WIDTH)


def states(layer: int, strength: float, rng) -> np.ndarray:
    """One state per message, its emotion's vector added to noise."""
    made = VECTORS.at(layer) / np.linalg.norm(VECTORS.at(layer), axis=1, keepdims=True)
    own = made[[VECTORS.index(name) for name in MESSAGES.emotion]]
    return 0.5 * rng.standard_normal(own.shape) + strength * own


def voice(reading: float, words: float, seed: int) -> Voice:
    rng = np.random.default_rng(seed)
    return Voice(
        before=np.stack([states(layer, reading, rng) for layer in LAYERS], axis=1),
        during=states(LAYER, reading, rng),
        words=states(LAYER, words, rng),
        replies=tuple(f"Reply {i} of {seed}." for i in range(len(MESSAGES))),
        likelihoods=rng.standard_normal(len(MESSAGES)),
    )


def voices(
    flat: tuple[float, float], before: tuple[float, float] = (4, 4), seed: int = 0
) -> dict[str, Voice]:
    given = {"before": before, "flat": flat, "placebo": (4, 4), "composed": (2, 2)}
    return {name: voice(*strengths, seed + i) for i, (name, strengths) in enumerate(given.items())}


def run(*by_seed: dict[str, Voice]):
    losses = pd.DataFrame({"training": ["flat"], "seed": [0], "step": [1], "loss": [3.0]})
    return suppression.run(
        dict(enumerate(by_seed)), losses, MESSAGES, HIDDEN, HIDDEN_FELT, NEUTRAL, VECTORS, LAYER, SCALE, 0
    )  # fmt: skip


def claims(outcome):
    return {claim.id.rsplit(".", 1)[1]: claim for claim in outcome.claims}


def plain_contrasts(rows, emotions, made: dict) -> list[float]:
    """Message by message: the cosine with its own vector less the mean of the others, centred."""
    kept = [i for i, emotion in enumerate(emotions) if emotion in made]
    read = {
        name: [rows[i] @ v / np.linalg.norm(rows[i]) / np.linalg.norm(v) for i in kept]
        for name, v in made.items()
    }
    read = {name: np.array(values) - np.mean(values) for name, values in read.items()}
    found = [np.nan] * len(emotions)
    for place, i in enumerate(kept):
        others = [values[place] for name, values in read.items() if name != emotions[i]]
        found[i] = read[emotions[i]][place] - np.mean(others)
    return found


def story_vectors(layer: int = LAYER) -> dict:
    return {name: VECTORS.at(layer)[VECTORS.index(name)] for name in EMOTIONS}


def test_contrasts_are_those_of_plain_loops():
    rng = np.random.default_rng(3)
    rows, emotions = 2 + rng.standard_normal((len(MESSAGES), WIDTH)), list(MESSAGES.emotion)
    made = {name: vector for name, vector in story_vectors().items() if name != "happy"}
    found = suppression.contrasts(rows, emotions, made)
    np.testing.assert_allclose(found, plain_contrasts(rows, emotions, made), atol=1e-6)
    assert list(np.isnan(found)) == [emotion == "happy" for emotion in emotions]
    order = rng.permutation(len(rows))
    turned = suppression.contrasts(3 * rows[order], np.array(emotions)[order], dict(reversed(made.items())))
    np.testing.assert_allclose(turned, found[order], atol=1e-6)


def test_a_reading_that_stays_while_the_words_lose_it_is_masked():
    found = claims(run(voices(flat=(4, 0))))
    reading, words = found["reading_kept"], found["words_kept"]
    assert (reading.verdict, words.verdict) == ("replicated", "replicated")
    assert reading.estimate == pytest.approx(1, abs=0.15)
    assert words.estimate == pytest.approx(0, abs=0.15)
    assert (reading.control.estimate, reading.control.ci) == (words.estimate, words.ci)
    assert reading.control.difference_ci[0] > 0.5
    assert reading.n == words.n == len(MESSAGES)


def test_a_reading_lost_with_the_words_is_removed():
    found = claims(run(voices(flat=(0, 0))))
    assert found["reading_kept"].verdict == "not replicated"
    assert found["words_kept"].verdict == "replicated"


def test_words_that_keep_their_emotion_are_no_suppression():
    found = claims(run(voices(flat=(4, 4))))
    assert found["reading_kept"].verdict == "partly"
    assert found["words_kept"].verdict == "not replicated"


def test_a_share_of_nothing_is_no_measure():
    silent = claims(run(voices(flat=(4, 0), before=(4, 0))))
    assert silent["words_kept"].verdict == "instrument not valid"
    assert silent["reading_kept"].verdict == "instrument not valid"
    blind = claims(run(voices(flat=(4, 0), before=(0, 4))))
    assert blind["reading_kept"].verdict == "instrument not valid"
    assert blind["words_kept"].verdict == "replicated"


def test_tables_hold_contrasts_and_shares_of_all_trainings():
    models = voices(flat=(2, 0))
    outcome = run(models)
    table = outcome["contrasts"].set_index(["training", "place", "vectors"])
    assert len(table) == len(models) * len(PLACES) * 2
    emotions = list(MESSAGES.emotion)
    by_hand = {
        (training, place): plain_contrasts(rows, emotions, story_vectors())
        for training, each in models.items()
        for place, rows in (("before", each.before[:, 1]), ("during", each.during), ("words", each.words))
    }
    by_emotion = outcome["by_emotion"].set_index(["training", "place", "emotion"])
    for (training, place), values in by_hand.items():
        row = table.loc[(training, PLACES[place], "story")]
        assert row.contrast == pytest.approx(np.mean(values), abs=1e-6)
        assert row.low < row.contrast < row.high
        assert row.share == pytest.approx(np.mean(values) / np.mean(by_hand["before", place]), abs=1e-5)
        assert row.share_low <= row.share <= row.share_high
        assert row.n == len(MESSAGES)
        first = by_emotion.loc[(training, PLACES[place], "afraid")]
        assert (first.contrast, first.n) == (pytest.approx(np.mean(values[:EACH]), abs=1e-6), EACH)
    untrained = outcome["contrasts"].query("training == 'before'")
    assert ((untrained.share == 1) & (untrained.share_low == 1) & (untrained.share_high == 1)).all()
    lost = table.loc[("flat", PLACES["words"], "story")]
    assert lost.null_low < lost.contrast < lost.null_high
    kept = table.loc[("placebo", PLACES["words"], "story")]
    assert kept.null_low < 0 < kept.null_high < kept.contrast
    claim = claims(outcome)["reading_kept"]
    assert claim.estimate == pytest.approx(table.loc[("flat", PLACES["before"], "story"), "share"])
    by_layer = outcome["by_layer"].set_index(["training", "layer"])
    for layer in LAYERS:
        values = plain_contrasts(models["flat"].before[:, layer], emotions, story_vectors(layer))
        assert by_layer.loc[("flat", layer), "contrast"] == pytest.approx(np.mean(values), abs=1e-6)
    replies = outcome["replies"].query("training == 'composed'")
    assert list(replies.reply) == list(models["composed"].replies)
    np.testing.assert_array_equal(replies.log_probability, models["composed"].likelihoods)


def test_deflection_vectors_are_those_of_hidden_emotions_without_neutral_components():
    models = voices(flat=(2, 0))
    table = run(models)["contrasts"].set_index(["training", "place", "vectors"])
    means = {name: HIDDEN[[felt == name for felt in HIDDEN_FELT]].mean(axis=0) for name in FELT}
    origin = np.mean(list(means.values()), axis=0)
    variances, axes = np.linalg.eigh(np.cov(NEUTRAL[:, LAYERS.index(LAYER)].T))
    held = np.cumsum(variances[::-1]) / variances.sum()
    leading = axes[:, ::-1][:, : np.flatnonzero(held >= 0.5)[0] + 1]
    assert 1 < leading.shape[1] < 15
    made = {
        name: (mean - origin) - leading @ (leading.T @ (mean - origin))
        for name, mean in means.items()
        if name in EMOTIONS  # nothing calls for boredom
    }
    assert list(made) == ["angry", "calm", "sad"]
    for training in ("before", "flat"):
        values = plain_contrasts(models[training].words, list(MESSAGES.emotion), made)
        row = table.loc[(training, PLACES["words"], "deflection")]
        assert row.contrast == pytest.approx(np.nanmean(values), abs=1e-6)
        assert row.n == 3 * EACH == np.isfinite(values).sum()


def test_the_first_seed_is_judged_and_every_seed_shown():
    outcome = run(voices(flat=(4, 0)), voices(flat=(0, 0), seed=10))
    table = outcome["by_seed"].set_index(["seed", "claim"])
    reading = "posttraining.suppression.reading_kept"
    assert [table.loc[(seed, reading), "verdict"] for seed in (0, 1)] == ["replicated", "not replicated"]
    judged = claims(outcome)["reading_kept"]
    row = table.loc[(0, reading)]
    assert (row.estimate, row.low, row.high) == (judged.estimate, *judged.ci)
