"""The chapter on the texts: classifiers, likeness and reliability against independent references."""

import numpy as np
import pytest
from conftest import small_scale
from scipy import stats

from emolib.corpus import Corpus
from emolib.corpus.sets import SCENARIO_EMOTIONS
from emolib.experiments import texts
from emolib.experiments.texts import Readings

STORIES = Corpus().stories
SCALE = small_scale(n_null=300, n_bootstrap=50)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def surface():
    return texts._surface_table(STORIES, SCALE, np.random.default_rng(1))


@pytest.fixture(scope="module")
def content():
    return texts._content_table(STORIES, SCALE, np.random.default_rng(1)).set_index("finds")


def test_length_person_tense_and_punctuation_stay_at_chance(surface):
    assert set(surface.of) == {171, 12}
    for row in surface.itertuples():
        assert row.found <= row.null_high, row
        assert row.null_low <= 1 / row.of <= row.null_high


def test_surface_classifier_would_see_exclamation_marks():
    """The check can fail: marks whose number depends on the emotion lift it far above chance."""
    marked = tuple(
        s.model_copy(update={"text": s.text.replace(".", "!", SCENARIO_EMOTIONS.index(s.emotion))})
        for s in STORIES
        if s.emotion in SCENARIO_EMOTIONS
    )
    found = texts._surface_table(marked, SCALE, np.random.default_rng(1)).set_index("sees")
    assert found.found["length, person, tense, punctuation"] > 2 * found.null_high.max()
    assert found.found["length, person, tense"] <= found.null_high["length, person, tense"]


def test_length_and_reading_level_do_not_tell_emotions_apart():
    by_feature = texts._feature_table(STORIES).set_index("feature")
    assert by_feature.p["words"] > 0.01
    # Words that suit a feeling are a little longer or shorter; by less than a school year.
    assert by_feature.sd_of_emotion_means["reading level"] < 0.75


def test_feeling_is_in_the_words(content):
    assert content.found["valence, emotion seen on other topics"] > 0.85
    assert content.found["valence, emotion never seen"] > content.null_high["valence, emotion never seen"]
    assert content.found["emotion, 171 words"] > 20 / 171
    assert content.found["emotion, 12 words"] > 0.6


def test_labels_dealt_at_random_give_chance():
    topics = np.repeat(["a", "b", "c"], 40)
    labels = np.tile(np.arange(40), 3)
    found = texts._found(RNG.permutation(labels), labels, topics, SCALE, RNG)
    assert found["null_low"] <= found["found"] <= found["null_high"]
    assert found["null_low"] <= 1 / 40 <= found["null_high"]


def test_shared_runs_are_the_jaccard_of_three_word_runs():
    a, b = "One two three four five.", "zero one two three FOUR"
    runs_a = {("one", "two", "three"), ("two", "three", "four"), ("three", "four", "five")}
    runs_b = {("zero", "one", "two"), ("one", "two", "three"), ("two", "three", "four")}
    likeness = texts.shared_runs([a, b, "nothing of the kind here"])
    assert likeness[0, 1] == pytest.approx(len(runs_a & runs_b) / len(runs_a | runs_b))
    assert likeness[0, 2] == 0
    assert np.all(np.diag(likeness) == 0)


@pytest.mark.parametrize("name", [name for name, each in texts.SETS.items() if each.apart])
def test_no_two_texts_are_near_duplicates(name):
    records = Corpus().read(name)
    likeness = texts.shared_runs([" ".join(record.texts()) for record in records])
    assert likeness.max() < 0.2


def paired(n_names, width, own_size, other_size, noise, rng):
    """Texts of every ordered pair with known effects of both emotions."""
    names = [f"e{i:02d}" for i in range(n_names)]
    own_effect = own_size * rng.standard_normal((n_names, width))
    other_effect = other_size * rng.standard_normal((n_names, width))
    pairs = [(i, j) for i in range(n_names) for j in range(n_names) if i != j]
    states = np.array([own_effect[i] + other_effect[j] for i, j in pairs])
    states += noise * rng.standard_normal(states.shape)
    own, other = ([names[pair[side]] for pair in pairs] for side in (0, 1))
    return own_effect - own_effect.mean(axis=0), Readings("simulated", states, own, other)


def test_effects_find_what_was_put_in_and_plain_means_do_not():
    truth, each = paired(8, 30, own_size=0.2, other_size=1.0, noise=0.0, rng=np.random.default_rng(3))
    assert texts.effects(each.states, each.own, each.other) == pytest.approx(truth, abs=1e-10)
    plain = np.array([each.states[np.equal(each.own, name)].mean(axis=0) for name in np.unique(each.own)])
    assert abs(plain - plain.mean(axis=0) - truth).max() > 0.1


def test_reliability_is_high_with_a_signal_and_none_without():
    neutral = np.random.default_rng(4).standard_normal((20, 60))
    steady = paired(9, 60, 1.0, 1.0, 0.3, np.random.default_rng(5))[1]
    empty = paired(9, 60, 0.0, 1.0, 1.0, np.random.default_rng(6))[1]
    table = texts._reliability_table([steady, empty], neutral, np.random.default_rng(7))
    assert table.reliability[0] > 0.95
    assert abs(table.reliability[1]) < 0.25


def test_stepped_up_reliability_is_that_of_twice_the_texts():
    """Spearman–Brown against simulation: correlate sums of two and of four noisy measurements."""
    rng = np.random.default_rng(8)
    truth = rng.standard_normal(200_000)
    half_a, half_b, other_a, other_b = truth + rng.standard_normal((4, 200_000)) * 1.5
    half = stats.pearsonr(half_a, half_b).statistic
    whole = stats.pearsonr(half_a + half_b, other_a + other_b).statistic
    assert texts.stepped_up(half) == pytest.approx(whole, abs=0.01)
    assert texts._texts_needed(texts.stepped_up(half), 100) == pytest.approx(
        100 * 4 * 1 / whole * (1 - whole), rel=0.05
    )
