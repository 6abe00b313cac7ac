"""Experiments on simulated activations: they find what was put there, and nothing where nothing was."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_scale

from emolib import corpus, paper, vectors
from emolib.experiments import central_layers, extraction, geometry, severity

WIDTH, LAYERS, TOPICS = 40, 6, 4
SCALE = small_scale(n_null=200, n_bootstrap=100)
WORDS = tuple(emotion.emotion for emotion in corpus.Corpus().emotions)


def simulated(seed=0, feeling=1.0, noise=0.3):
    """Stories whose states hold the human ratings on two axes, behind a rotation, a length and noise."""
    rng = np.random.default_rng(seed)
    ratings = paper.human_ratings().reindex(WORDS)[["pleasure", "arousal"]]
    ratings = ratings.fillna(
        pd.DataFrame(rng.uniform(-0.8, 0.8, ratings.shape), ratings.index, ratings.columns)
    )
    latent = np.zeros((len(WORDS), WIDTH))
    latent[:, 0], latent[:, 1] = 2 * ratings.pleasure, ratings.arousal
    rotation = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    states, emotions, topics = [], [], []
    for topic in range(TOPICS):
        for i, word in enumerate(WORDS):
            mean = (feeling * latent[i] + 7) @ rotation
            states.append(np.stack([mean * (1 + layer) for layer in range(LAYERS)]))
            states[-1] += noise * rng.normal(size=(LAYERS, WIDTH))
            emotions.append(word)
            topics.append(f"topic{topic}")
    states = np.array(states, dtype=np.float32)
    return states, emotions, topics, vectors.fit(states, emotions, WORDS, range(LAYERS), "sim", "sim")


def chapter(feeling):
    """The chapter's outcome on simulated stories, with neutral chats that differ in one direction."""
    states, emotions, topics, raw = simulated(feeling=feeling)
    rng = np.random.default_rng(1)
    neutral = rng.normal(size=(30, 1, 1)) * rng.normal(size=(1, LAYERS, WIDTH))
    clean = vectors.denoise(raw, neutral)
    return geometry.run(clean, raw, states, emotions, topics, neutral, 3, SCALE, 0)


@pytest.fixture(scope="module")
def with_feeling():
    return chapter(feeling=1.0)


@pytest.fixture(scope="module")
def without_feeling():
    return chapter(feeling=0.0)


def claim(outcome, name):
    return next(c for c in outcome.claims if c.id == f"geometry.{name}")


def test_geometry_finds_pleasure_and_arousal_where_they_are(with_feeling):
    assert claim(with_feeling, "pc1_pleasure_r").estimate > 0.9
    assert claim(with_feeling, "pc2_arousal_r").estimate > 0.9
    assert claim(with_feeling, "pc1_pleasure_r").verdict == "replicated"
    assert claim(with_feeling, "layer_similarity_min").estimate > 0.9
    assert claim(with_feeling, "pc1_variance").estimate > claim(with_feeling, "pc1_variance").null.high


def test_geometry_finds_nothing_in_noise(without_feeling):
    for name in ("pc1_pleasure_r", "pc2_arousal_r", "cluster_ari", "layer_similarity_min"):
        found = claim(without_feeling, name)
        assert found.null.low - 0.1 <= found.estimate <= found.null.high + 0.1, name
    share = claim(without_feeling, "pc1_variance")
    assert share.estimate == pytest.approx((share.null.low + share.null.high) / 2, rel=0.15)


def test_intervals_hold_their_estimate_and_say_what_was_counted(with_feeling):
    for found in with_feeling.claims:
        assert found.ci[0] <= found.estimate <= found.ci[1]
    assert claim(with_feeling, "pc1_pleasure_r").n == 44
    assert claim(with_feeling, "cluster_ari").n == 171


def test_long_vectors_do_not_become_the_first_component():
    *_, made = simulated()
    stretched = made.array.copy()
    stretched[WORDS.index("bored")] *= 500
    long = vectors.EmotionVectors(stretched, made.origin, WORDS, made.layers, {}, "sim", "sim")
    words = geometry.words_table(long, 3, 0)
    assert words.pc1.abs().idxmax() != WORDS.index("bored") or words.pc1.abs().max() < 1.5
    rated = words.dropna(subset=["pleasure"])
    assert np.corrcoef(rated.pc1, rated.pleasure)[0, 1] > 0.9


def test_principal_axes_agree_with_the_covariance_matrix():
    sample = np.random.default_rng(5).normal(size=(50, 8)) * np.arange(1, 9)
    scores, share = geometry.principal_axes(sample)
    values, axes = np.linalg.eigh(np.cov(sample.T))
    np.testing.assert_allclose(share, values[::-1][:3] / values.sum())
    expected = (sample - sample.mean(axis=0)) @ axes[:, ::-1][:, :3]
    np.testing.assert_allclose(np.abs(scores), np.abs(expected))


def test_more_stories_give_vectors_that_agree_more(with_feeling):
    by_n = with_feeling["by_stories"].groupby("stories").half_cosine.mean()
    assert by_n[4] > by_n[2]


def test_held_out_stories_are_found_when_there_is_feeling_and_not_in_noise():
    for feeling, found in ((1.0, True), (0.0, False)):
        states, emotions, topics, made = simulated(feeling=feeling, noise=0.1)
        ranks = extraction.held_out(made, states, emotions, topics, 3)["rank"]
        assert (ranks.median() < 5) == found
        if not found:
            assert ranks.mean() == pytest.approx((len(WORDS) + 1) / 2, rel=0.1)


def severity_case(effect, number_effect=0.0, seed=0):
    """Readings in which the tablets move afraid up and calm down by `effect`, and every number by itself."""
    rng = np.random.default_rng(seed)
    texts = corpus.Corpus()
    shown = [p for p in texts.severity_prompts if p.family in (severity.FAMILY, severity.CONTROL)]
    design = severity.prompts(texts.severity_families, shown)
    array = rng.normal(size=(len(WORDS), LAYERS, WIDTH)).astype(np.float32)
    made = vectors.EmotionVectors(array, array[0], WORDS, tuple(range(LAYERS)), {}, "sim", "sim")
    step = np.log2(design.value.to_numpy()) - np.log2(design.value).mean()
    danger = vectors.unit(made.array[WORDS.index("afraid")]) - vectors.unit(made.array[WORDS.index("calm")])
    numbers = vectors.unit(rng.normal(size=(LAYERS, WIDTH)))
    states = 10 * np.ones((len(design), LAYERS, WIDTH)) + 0.05 * rng.normal(size=(len(design), LAYERS, WIDTH))
    states += np.where(design.control, 0, step)[:, None, None] * effect * danger
    states += step[:, None, None] * number_effect * numbers
    readings = {"user's message": states, severity.PAPER_POSITION: states}
    return severity.run(readings, design, {"afraid": 1, "calm": -1}, made, made, 3, SCALE, 0)


def test_severity_is_found_where_only_the_tablets_carry_it():
    assert [c.verdict for c in severity_case(effect=0.5).claims] == ["replicated", "replicated"]


def test_severity_is_not_found_in_noise():
    verdicts = [c.verdict for seed in range(3) for c in severity_case(effect=0.0, seed=seed).claims]
    assert verdicts.count("not replicated") >= 5


def test_reaction_to_the_number_itself_does_not_pass_for_severity():
    for seed in range(3):
        for found in severity_case(effect=0.0, number_effect=0.5, seed=seed).claims:
            assert found.verdict != "replicated"
            low, high = found.control.difference_ci
            assert low - 0.3 <= 0 <= high + 0.3


def test_choosing_and_judging_paraphrases_do_not_overlap():
    texts = corpus.Corpus()
    design = severity.prompts(texts.severity_families, texts.severity_prompts)
    parts = design.groupby(["family", "paraphrase"]).part.nunique()
    assert (parts == 1).all()
    assert design.groupby("part").paraphrase.nunique().to_dict() == {"choose": 8, "judge": 8}


def test_family_and_control_hold_the_same_numbers():
    families = {f.family: f for f in corpus.Corpus().severity_families}
    tablets, chalk = families[severity.FAMILY], families[severity.CONTROL]
    assert tablets.values == chalk.values
    for wording, amounts in tablets.wordings.items():
        numbers = [amount.split()[0] for amount in amounts]
        assert numbers == [amount.split()[0] for amount in chalk.wordings[wording]]


@pytest.mark.parametrize(("depth", "expected"), [(30, (8, 26)), (6, (2, 4))])
def test_central_layers_span_a_quarter_to_nine_tenths(depth, expected):
    layers = central_layers(tuple(range(depth)))
    assert (layers[0], layers[-1]) == expected
    assert len(central_layers(tuple(range(30)), 14)) == 14
