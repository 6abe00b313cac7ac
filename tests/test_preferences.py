"""The preference chapters on simulated answers: they find what was planted, and nothing elsewhere."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_scale

from emolib import corpus, paper, vectors
from emolib.corpus.schema.prompts import Activity
from emolib.errors import EmolibError
from emolib.experiments import preference_steering, preferences
from emolib.experiments.preference_steering import (
    ALWAYS,
    HEADLINE,
    PAIR_FRAMES,
    STRENGTHS,
    Steered,
    conditions,
)
from emolib.experiments.preferences import Answers

WIDTH, LAYERS = 24, 3
KINDS = (preference_steering.MIXTURES, preference_steering.ANYWHERE)
SCALE = small_scale(n_null=200, n_bootstrap=100, n_directions=40)
TEXTS = corpus.Corpus()
WORDS = tuple(emotion.emotion for emotion in TEXTS.emotions)
ITEMS = {part: tuple(a for a in TEXTS.read("activities") if a.part == part) for part in ("main", "confirm")}
STORIES = tuple(story for story in TEXTS.stories if story.topic in ("meal", "work", "water"))


def as_log_probabilities(odds, n_words, rng):
    """Log-probabilities of `n_words` words whose first half beats the second by the given log-odds."""
    spread = rng.normal(size=(*odds.shape, n_words // 2))
    spread -= np.log(np.exp(spread).sum(axis=-1, keepdims=True))
    high, low = (odds / 2)[..., None] + spread, (-odds / 2)[..., None] + spread
    return (np.concatenate([high, low], axis=-1) - 9).astype(np.float64)


def pleasure_axis(rng):
    """Vectors whose first axis is rated pleasure, the same in every layer, and nothing else but noise."""
    ratings = paper.human_ratings().pleasure.reindex(WORDS)
    ratings = ratings.fillna(pd.Series(rng.uniform(-0.8, 0.8, len(WORDS)), ratings.index))
    ratings["blissful"], ratings["hostile"] = 0.9, -0.9
    array = 0.15 * rng.normal(size=(len(WORDS), LAYERS, WIDTH))
    array[:, :, 0] = ratings.to_numpy()[:, None]
    array -= array.mean(axis=0)
    return vectors.EmotionVectors(
        array.astype(np.float32),
        np.zeros((LAYERS, WIDTH), np.float32),
        WORDS,
        tuple(range(LAYERS)),
        {},
        "s",
        "s",
    )


class World:
    """Activities with a liking each, states that hold it on the first axis, answers that follow it."""

    def __init__(self, follows=1.0, seed=0):
        rng = np.random.default_rng(seed)
        self.vectors = pleasure_axis(rng)
        self.liking = rng.normal(size=128)
        self.states = 0.3 * rng.normal(size=(128, LAYERS, WIDTH)) + 5
        self.states[:, :, 0] += self.liking[:, None]
        self.said = follows * self.liking + (1 - follows) * rng.normal(size=128)
        self.rng = rng

    def answers(self, part, bias=4.0):
        members = slice(0, 64) if part == "main" else slice(64, None)
        said = self.said[members]
        odds = said + 0.3 * self.rng.normal(size=(3, 64)) + np.array([[0.0], [2.0], [-1.0]])
        numbers = np.array(list(preferences.RATING_FRAMES.values()))[:, None] * said
        rating = -((np.arange(1, 8) - 4 - numbers[..., None]) ** 2)
        pairs = np.array(preferences.ordered_pairs(64))
        choice = (said[pairs[:, 0]] - said[pairs[:, 1]] + bias)[:, None] * np.array([0.5, -0.5])
        return Answers(
            ITEMS[part],
            as_log_probabilities(odds, 10, self.rng),
            rating - 3,
            choice if part == "main" else None,
        )

    def probe(self):
        story_words = self.rng.normal(size=(len(STORIES), WIDTH))
        return preferences.run(
            self.answers("main"), self.answers("confirm"), self.states,
            self.rng.normal(size=(128, WIDTH)), story_words, STORIES, self.vectors, 1, SCALE, 0,
        )  # fmt: skip


@pytest.fixture(scope="module")
def follows():
    return World().probe()


@pytest.fixture(scope="module")
def ignores():
    return World(follows=0.0).probe()


def claim(outcome, name):
    return next(c for c in outcome.claims if c.id == f"preferences.{name}")


def test_probe_finds_a_planted_preference(follows):
    for part in ("", "confirm."):
        assert claim(follows, f"{part}probe_r.blissful").verdict == "replicated"
        assert claim(follows, f"{part}probe_r.hostile").verdict == "replicated"
        assert claim(follows, f"{part}probe_r_vs_valence_r").estimate > 0.9


def test_probe_finds_nothing_where_answers_ignore_the_states(ignores):
    for part in ("", "confirm."):
        for name in ("probe_r.blissful", "probe_r.hostile", "probe_r.max_abs"):
            assert claim(ignores, f"{part}{name}").verdict == "not replicated", (part, name)


def test_every_interval_holds_its_estimate(follows):
    for found in follows.claims:
        assert found.ci[0] <= found.estimate <= found.ci[1], found.id


def test_correlations_are_those_of_scipy(follows):
    rng = np.random.default_rng(0)
    read, scores = rng.normal(size=(64, 5)), rng.normal(size=64)
    expected = [np.corrcoef(read[:, i], scores)[0, 1] for i in range(5)]
    np.testing.assert_allclose(preferences.correlations(read, scores), expected)


def test_gates_pass_good_instruments_and_stop_one_that_follows_the_order(follows):
    gates = follows["instruments"].set_index("instrument")
    assert gates.valid["disposition"]
    assert gates.valid["rating"]
    assert not gates.valid["forced choice"]
    assert gates.order_bias["forced choice"] == pytest.approx(4.0, abs=0.05)
    fair = preferences._forced_choice(World().answers("main", bias=0.0))
    assert fair[2]["found"] == 1.0
    assert fair[2]["valid"]


def test_rating_that_follows_the_number_and_not_its_meaning_is_stopped():
    answers = World().answers("main")
    rising = answers.rating[[0, 0, 2, 2]]
    gate = preferences._rating(Answers(answers.items, answers.disposition, rising, answers.choice))[2]
    assert gate["found"] < -0.9
    assert not gate["valid"]


def test_bradley_terry_gives_back_strengths_and_order_bias():
    rng = np.random.default_rng(3)
    strengths = rng.normal(size=12)
    pairs = np.array(preferences.ordered_pairs(12))
    odds = strengths[pairs[:, 0]] - strengths[pairs[:, 1]] + 1.7
    found, bias = preferences.bradley_terry(pairs, odds, 12)
    np.testing.assert_allclose(found, strengths - strengths.mean(), atol=0.01)
    assert bias == pytest.approx(1.7, abs=0.01)


def test_reliability_is_the_standardised_alpha_of_parallel_frames():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    frames = truth + rng.normal(size=(3, 200_000))  # each frame: half truth, half noise
    assert preferences.reliability(frames) == pytest.approx(3 * 0.5 / (1 + 2 * 0.5), abs=0.01)


def test_log_odds_are_those_of_the_two_sums():
    p = np.array([0.1, 0.05, 0.02, 0.01, 0.02, 0.04, 0.01, 0.03, 0.01, 0.01])
    assert preferences.log_odds(np.log(p)) == pytest.approx(np.log(0.2 / 0.1))


def test_emotions_that_are_steered_span_the_correlations():
    r = np.linspace(-1, 1, 101)
    names = [f"e{i}" for i in range(101)]
    assert preferences.spanning(r, names, 5, []) == ["e0", "e25", "e50", "e75", "e100"]
    assert preferences.spanning(r, names, 5, ["e52", "e24"]) == ["e0", "e24", "e52", "e75", "e100"]
    assert len(preferences.spanning(r, names, 3, ["e1", "e2", "e3"])) == 3


def test_twice_the_same_activity_is_refused():
    one, other = ITEMS["main"][:2]
    again = other.model_copy(update={"text": one.text.replace(" ", "  ").title()})
    with pytest.raises(EmolibError, match=rf"{one.id} and {other.id} say the same"):
        preferences.check_activities([one, again])
    with pytest.raises(EmolibError, match="is blank"):
        preferences.check_activities([Activity.model_construct(**{**one.model_dump(), "text": " "})])


def test_halves_are_balanced_and_partners_come_from_the_other_half():
    steered = preference_steering.split(ITEMS["main"], 0)
    categories = pd.Series([item.category for item in ITEMS["main"]])
    assert set(categories[steered].value_counts()) == {4}
    partners = preference_steering.partners(ITEMS["main"], 0)
    assert sorted(partners) == list(range(64))
    assert all(steered[i] != steered[j] and partners[j] == i for i, j in enumerate(partners))


def test_word_valences_follow_the_ratings_of_the_emotions():
    weights = preferences.lexicon_weights(TEXTS.stories)
    pleasant = ["The cake was warm and we laughed.", "She smiled at the sun on the water."]
    bad = ["He struck the wall and shouted.", "Her stomach hurt and she wept alone."]
    found = preferences.text_valences(weights, pleasant + bad)
    assert found[:2].min() > found[2:].max()


class SteeredWorld(World):
    """Steering moves the answer by how far the push lies along the first axis, and nothing else does."""

    emotions = (*ALWAYS, *paper.human_ratings().index[::3])

    def __init__(self, works=1.0, seed=0):
        super().__init__(seed=seed)
        self.works = works
        at = self.vectors.at(1)[[WORDS.index(e) for e in self.emotions]]
        self.along = (at / np.linalg.norm(at, axis=1, keepdims=True))[:, 0]

    def under(self, part, strengths):
        base = self.said[:64] if part == "main" else self.said[64:]
        moved = [
            0.0 if e is None else self.works * 3 * s * self.along[self.emotions.index(e)]
            for e, s in conditions(self.emotions, strengths)
        ]
        frames = np.array([0.0, 2.0, -1.0])[:, None, None]
        noise = 0.05 * self.rng.normal(size=(3, 64, len(moved)))
        noise[:, :, 0] = 0
        return as_log_probabilities(base[None, :, None] + frames + np.array(moved) + noise, 10, self.rng)

    def outcome(self):
        one = [HEADLINE]
        random = self.rng.normal(size=(SCALE.n_directions, WIDTH))
        random /= np.linalg.norm(random, axis=1, keepdims=True)
        moved = self.works * 3 * HEADLINE * random[:, 0]
        base = (self.said[:64] + np.array([[0.0], [2.0], [-1.0]]))[..., None]
        single = self.under("main", one)[0]
        still = np.repeat(single[:, :1], single.shape[1], axis=1)
        steered = Steered(
            main=self.under("main", STRENGTHS),
            confirm=self.under("confirm", (-HEADLINE, HEADLINE)),
            without_words=self.under("main", (-HEADLINE, HEADLINE)),
            random=dict.fromkeys(KINDS, as_log_probabilities(base + moved, 10, self.rng)),
            layers={"1": single},
            pairs={frame: {"asked": single, "other": still, "both": single} for frame in PAIR_FRAMES},
            texts=pd.DataFrame(
                [{"emotion": "happy", "text": "a b a b a b"}, {"emotion": "sad", "text": "c d e"}]
            ),
        )
        return preference_steering.run(
            steered,
            ITEMS,
            self.states,
            self.emotions,
            dict.fromkeys(KINDS, random),
            self.vectors,
            1,
            True,
            SCALE,
            0,
        )


@pytest.fixture(scope="module")
def works():
    return SteeredWorld().outcome()


@pytest.fixture(scope="module")
def idle():
    return SteeredWorld(works=0.0).outcome()


def test_steering_finds_a_planted_effect_of_the_planted_size(works):
    world = SteeredWorld()
    for i, word in enumerate(ALWAYS):
        found = claim(works, f"steering_effect.{word}")
        assert found.estimate == pytest.approx(3 * HEADLINE * world.along[i], abs=0.05)
        assert found.verdict == "replicated"
        assert found.control.estimate == pytest.approx(0, abs=1e-9)
    assert claim(works, "steering_vs_probe_r").verdict == "replicated"
    assert claim(works, "confirm.steering_vs_valence_r").verdict == "replicated"


def test_steering_that_does_nothing_is_not_replicated(idle):
    names = [c.id.removeprefix("preferences.") for c in idle.claims]
    assert len(names) == 8
    for name in names:
        assert claim(idle, name).verdict == "not replicated", name


def test_steering_both_activities_hides_the_effect(works):
    for _, pairs in works["pairs"].groupby("frame"):
        assert pairs.steered_minus_control.std() > 10 * pairs.same_with_both_steered.std()
    assert set(works["pairs"].frame) == set(PAIR_FRAMES)


def test_panel_table_holds_the_unsteered_answer_at_strength_zero(works):
    moves = works["moves"]
    assert len(moves) == len(SteeredWorld.emotions) * len(STRENGTHS) * 64
    at_zero = moves[moves.strength == 0].groupby("activity").disposition.nunique()
    assert (at_zero == 1).all()


def test_dose_table_is_zero_without_a_push_and_grows_with_it(works):
    dose = works["dose"][works["dose"].emotion == "blissful"].set_index("strength").effect
    assert dose[0.0] == 0
    assert dose.is_monotonic_increasing


def test_random_directions_of_a_world_with_one_axis_follow_their_own_reading(works):
    """What moves the answer is the axis, so a random direction moves it as far as it predicts it."""
    table = works["directions"].set_index("directions").r_of_effect_with_probe_r
    assert (table > 0.85).all()


def test_repetition_is_seen(works):
    assert works["texts"].distinct.tolist() == pytest.approx([2 / 5, 1.0])


def test_direction_without_its_lexical_part_is_orthogonal_to_it():
    rng = np.random.default_rng(0)
    stories, valences = rng.normal(size=(300, 8)), rng.normal(size=300)
    stories[:, 2] += 4 * valences
    lexical = preference_steering.lexical_direction(stories, valences)
    assert abs(lexical[2]) > 0.95
    left = preference_steering.without(rng.normal(size=(5, 8)), lexical)
    np.testing.assert_allclose(left @ lexical, 0, atol=1e-8)


def test_bands_fit_any_depth():
    assert list(preference_steering.bands(30)) == ["6", "10", "14", "18", "22", "10–18"]
    for depth in (2, 5, 12, 80):
        assert all(max(layers) < depth for layers in preference_steering.bands(depth).values())
