"""The simulation holds what it says, and the calibration finds what closed forms say it must."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from emolib import corpus, paper, simulation, vectors
from emolib.experiments import calibration, geometry, severity
from emolib.profiles import SCALES

WORDS = tuple(emotion.emotion for emotion in corpus.Corpus().emotions)
RATINGS = paper.human_ratings()


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def space():
    return simulation.emotion_space(WORDS, RATINGS, paper.clusters(), rng())


def test_space_has_unit_variance_and_the_shares_asked_for(space):
    variances = space.latents.var(axis=0)
    assert variances.sum() == pytest.approx(1)
    np.testing.assert_allclose(variances[:2], simulation.FEELING[:2])
    np.testing.assert_allclose(space.axes @ space.axes.T, np.eye(len(space.axes)), atol=1e-12)
    np.testing.assert_allclose(space.styles @ space.axes.T, 0, atol=1e-12)


def test_rated_words_lie_where_people_put_them(space):
    rated = [WORDS.index(word) for word in RATINGS.index if word in WORDS]
    for column, rating in enumerate(("pleasure", "arousal")):
        theirs = RATINGS.loc[[WORDS[i] for i in rated], rating]
        assert scipy_stats.pearsonr(space.latents[rated, column], theirs).statistic == pytest.approx(1)


def test_space_without_feeling_has_no_such_axes():
    none = simulation.emotion_space(WORDS, RATINGS, paper.clusters(), rng(), simulation.NO_FEELING)
    np.testing.assert_array_equal(none.latents[:, :2], 0)
    assert none.latents.var(axis=0).sum() == pytest.approx(1)


def test_noise_has_the_variance_and_dimensions_it_says():
    drawn = simulation.noise(4000, 300, rng(1)).astype(float)
    assert np.sum(drawn**2, axis=1).mean() == pytest.approx(1, rel=0.02)
    harmonic = np.sum(1 / np.arange(1, 301))
    np.testing.assert_allclose(drawn.var(axis=0)[:5], 1 / harmonic / np.arange(1, 6), rtol=0.1)


def test_means_of_stories_are_the_truth_plus_noise_of_a_twelfth(space):
    effect = 2.0
    texts = simulation.read_stories(space, effect, rng(2))
    raw = vectors.fit(texts.stories, texts.emotions, WORDS, [0], "s", "s").at(0)
    truth = effect * (space.means - space.means.mean(axis=0))
    left = np.sum((raw - truth) ** 2, axis=1).mean()
    assert left == pytest.approx(1 / simulation.N_TOPICS, rel=0.05)


def test_neutral_chats_vary_along_the_styles(space):
    texts = simulation.read_stories(space, 0.0, rng(3), style_in_chats=25.0)
    found = vectors.principal_components(texts.neutral[:, 0].astype(float), 0.9)[: simulation.N_STYLES]
    overlap = np.linalg.svd(found @ space.styles.T, compute_uv=False)
    np.testing.assert_allclose(overlap, 1, atol=0.02)


def test_style_of_stories_is_along_the_styles_and_leaves_without_them(space):
    plain = simulation.read_stories(space, 0.0, rng(4))
    written = simulation.read_stories(space, 0.0, rng(4), style=50.0)
    made = [vectors.fit(t.stories, t.emotions, WORDS, [0], "s", "s").at(0) for t in (plain, written)]
    added = made[1] - made[0]
    inside = added @ space.styles.T
    assert np.sum(inside**2) / np.sum(added**2) > 0.99
    assert np.sqrt(np.sum(inside**2, axis=1).mean()) == pytest.approx(50, rel=0.1)


def test_strong_feeling_is_recovered(space):
    texts = simulation.read_stories(space, 10.0, rng(5))
    made = vectors.fit(texts.stories, texts.emotions, WORDS, [0], "s", "s")
    axes = space.axes[:2]
    # What the vectors hold on the true axes is the truth.
    for column in range(2):
        read = made.at(0) @ axes[column]
        assert scipy_stats.pearsonr(read, space.latents[:, column]).statistic > 0.99
    assert calibration.split_half(texts.stories[:, 0], texts.emotions, texts.topics, WORDS) > 0.99


def test_split_half_follows_its_closed_form(space):
    effect = 0.8
    texts = simulation.read_stories(space, effect, rng(6))
    found = calibration.split_half(texts.stories[:, 0], texts.emotions, texts.topics, WORDS)
    # Two means of six: shared variance effect², each with a sixth of a story's noise.
    assert found == pytest.approx(effect**2 / (effect**2 + 1 / 6), abs=0.04)
    nothing = simulation.read_stories(space, 0.0, rng(7))
    zero = calibration.split_half(nothing.stories[:, 0], nothing.emotions, nothing.topics, WORDS)
    assert zero == pytest.approx(0, abs=0.06)


def test_liking_moves_activities_along_pleasure_alone(space):
    # With one generator state the noise is the same, and what differs is the movement.
    still, liking = simulation.read_activities(space, 0.0, 200, rng(8))
    moved, same = simulation.read_activities(space, 3.0, 200, rng(8))
    np.testing.assert_array_equal(liking, same)
    expected = 3 / np.sqrt(simulation.WIDTH) * np.outer(liking, space.axes[0])
    np.testing.assert_allclose((moved - still)[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize("n_draws", [20, 200, 300])
def test_nominal_rate_is_how_often_the_null_leaves_its_own_band(n_draws):
    draws = rng(9).random((20_000, n_draws + 1))
    beyond = draws[:, -1] > np.quantile(draws[:, :-1], 0.975, axis=1)
    assert calibration.nominal(n_draws) == pytest.approx(beyond.mean(), abs=0.004)
    assert calibration.nominal(100_000) == pytest.approx(0.025, abs=1e-4)


def test_share_has_wilsons_interval():
    found = calibration.share([True] * 3 + [False] * 17)
    z, p, n = scipy_stats.norm.ppf(0.975), 0.15, 20
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (found["share"], found["n"]) == (p, n)
    assert (found["low"], found["high"]) == pytest.approx((centre - reach, centre + reach))


def test_smallest_effect_lies_between_the_effects_tried():
    curve = {"chapter": "c", "claim": "a", "effect": [0.0, 1.0, 2.0], "share": [0.0, 0.6, 1.0]}
    flat = {"chapter": "c", "claim": "b", "effect": [0.0, 1.0], "share": [0.0, 0.5]}
    found = calibration.smallest(pd.concat([pd.DataFrame(curve), pd.DataFrame(flat)]))
    assert found.set_index("claim").effect["a"] == pytest.approx(1.5)
    assert np.isnan(found.set_index("claim").effect["b"])


def test_dealing_keeps_topics_and_changes_emotions():
    emotions, topics = np.repeat(WORDS[:40], 3), np.tile(["a", "b", "c"], 40)
    dealt = geometry.dealt(emotions, topics, rng(10))
    assert (dealt == emotions).mean() < 0.2
    for topic in "abc":
        assert sorted(dealt[topics == topic]) == sorted(emotions[topics == topic])


@pytest.fixture(scope="module")
def outcome():
    """The whole chapter at smoke scale, on simulated activations in place of the real ones."""
    draw, layers, width = rng(11), 4, 96
    ground = simulation.emotion_space(WORDS, RATINGS, paper.clusters(), draw, width=width)
    texts = simulation.read_stories(ground, 0.8, draw)
    stories, neutral = (np.repeat(states, layers, axis=1) for states in (texts.stories, texts.neutral))
    made = vectors.fit(stories, texts.emotions, WORDS, range(layers), "s", "s")
    own = corpus.Corpus()
    shown = [p for p in own.severity_prompts if p.family in (severity.FAMILY, severity.CONTROL)]
    design = severity.prompts(own.severity_families, shown)
    messages = simulation.noise(len(design) * layers, width, draw).reshape(-1, layers, width)
    items, liking = simulation.read_activities(ground, 2.0, calibration.N_ACTIVITIES, draw)
    return calibration.run(
        stories, texts.emotions, texts.topics, neutral, made, {"m": messages}, design,
        np.repeat(items, layers, axis=1), liking, 2, 2, SCALES["smoke"], 0,
    )  # fmt: skip


def test_strong_effects_are_found_and_absent_ones_rarely(outcome):
    power = outcome["power"]
    strong = power[(power.chapter == "severity") & (power.effect == max(calibration.PLANTED))]
    assert (strong.share == 1).all()
    strong = power[(power.chapter == "geometry") & (power.effect == max(calibration.EFFECTS))]
    assert strong.set_index("claim").share["geometry.cluster_ari"] == 1
    assert strong.set_index("claim").share[calibration.SCENARIOS] == 1
    zero = outcome["false_finds"].query("data == 'real, placebo directions'")
    assert len(zero) == 2
    assert (zero.share < 0.5).all()


def test_our_place_is_where_the_data_were_made(outcome):
    assert outcome["ours"].effect.item() == pytest.approx(0.8, abs=0.15)


def test_layers_that_hold_the_same_stories_look_alike_whatever_their_labels(space):
    draw = rng(14)
    texts = simulation.read_stories(space, 0.0, draw)
    same, neutral = (np.repeat(states, 3, axis=1) for states in (texts.stories, texts.neutral))
    other = np.stack([texts.stories[:, 0], *draw.normal(size=(2, *texts.stories[:, 0].shape))], axis=1)
    for stories, expected in ((same, 1.0), (other, 0.0)):
        null = geometry.shuffled_label_similarities(
            stories, neutral, WORDS, texts.emotions, texts.topics, 3, draw
        )
        np.testing.assert_allclose(null, expected, atol=0.1)


def test_for_eight_values_the_bootstrap_is_too_narrow_and_students_interval_is_not(outcome):
    table = outcome["coverage"].query("over == '8 paraphrases'").set_index("interval").share
    # A percentile bootstrap of n values has the variance (n − 1)/n² of the sum of squares and no t.
    reach = scipy_stats.norm.ppf(0.975) * np.sqrt(7 / 8)
    narrow = 1 - 2 * scipy_stats.t(7).sf(reach)
    for interval, expected in (("mean, bootstrap", narrow), ("mean, Student's t", 0.95)):
        assert table[interval] == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 50))


def test_long_vectors_need_unit_length(outcome):
    table = outcome["confounds"].set_index(["confound", "present", "remedy"])["mean"]
    assert table["a few long vectors", True, True] > table["a few long vectors", True, False] + 0.2
    assert table["massive dimensions", True, True] >= table["massive dimensions", True, False]
