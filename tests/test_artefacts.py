"""The mistakes are really made, and only they: against plain hooks, closed forms and constructed cases."""

from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ANSWERS, TEXTS, make_subject
from scipy.stats import spearmanr
from test_activations import hooked

from emolib import activations, corpus, mistakes, paper, vectors
from emolib.activations import EVERY_TOKEN, Where
from emolib.chat import Prompt
from emolib.corpus.sets import SCENARIO_EMOTIONS
from emolib.experiments import artefacts, severity
from emolib.profiles import SCALES
from emolib.vectors import EmotionVectors, unit

PROMPTS = [Prompt(text) for text in TEXTS]
WORDS = tuple(emotion.emotion for emotion in corpus.Corpus().emotions)
BATCH = 3  # make_subject's


def where_it_lands(subject) -> list[int]:
    """For left padding, in batches as given: which token of each prompt lies at `mask.sum() - 1`."""
    lengths = [len(hooked(subject, prompt)) for prompt in PROMPTS]
    landed = []
    for start in range(0, len(lengths), BATCH):
        members = lengths[start : start + BATCH]
        landed += [n - 1 - (max(members) - n) for n in members]
    return landed


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_padding_on_the_left_reads_another_token(architecture):
    subject = make_subject(architecture)
    read = mistakes.states_at_mask_sum(subject, PROMPTS, range(5), "left")
    landed = where_it_lands(subject)
    inside = [i for i, token in enumerate(landed) if 0 <= token < len(hooked(subject, PROMPTS[i])) - 1]
    assert inside, "no prompt is read in its middle"
    for i in inside:
        states = hooked(subject, PROMPTS[i])
        np.testing.assert_allclose(read[i], states[landed[i]], atol=1e-5, rtol=0)
        assert not np.allclose(read[i], states[-1], atol=1e-2)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_padding_on_the_right_reads_the_last_token(architecture):
    subject = make_subject(architecture)
    read = mistakes.states_at_mask_sum(subject, PROMPTS, range(5), "right")
    for prompt, found in zip(PROMPTS, read, strict=True):
        np.testing.assert_allclose(found, hooked(subject, prompt)[-1], atol=1e-5, rtol=0)


def test_answers_are_those_after_the_token_that_was_read(tiny):
    words = [f" {word}" for word in ANSWERS]
    wanted = activations.next_tokens(tiny, PROMPTS[0], words)
    landed = where_it_lands(tiny)
    for side in mistakes.SIDES:
        found = mistakes.answers_at_mask_sum(tiny, PROMPTS, words, side)
        checked = 0
        for i, prompt in enumerate(PROMPTS):
            ids = tiny.tokenizer(prompt.text, return_tensors="pt")["input_ids"]
            with torch.no_grad():
                log_p = tiny.model._module(input_ids=ids).logits[0].log_softmax(dim=-1)
            token = landed[i] if side == "left" else -1
            if side == "left" and token < 0:
                continue
            np.testing.assert_allclose(found[i], log_p[token, wanted].numpy(), atol=1e-5, rtol=0)
            checked += 1
        assert checked >= 3
    right = mistakes.answers_at_mask_sum(tiny, PROMPTS, words, "right")
    np.testing.assert_allclose(right, activations.log_probabilities(tiny, PROMPTS, words), atol=1e-5)


def test_opening_and_rest_make_the_mean_over_all_tokens(any_subject):
    long_enough = [p for p in PROMPTS if len(hooked(any_subject, p)) > 3]
    later = Where(skip=3)
    opened, share = mistakes.openings(any_subject, long_enough, 2, later)
    rest = activations.read(any_subject, long_enough, [2], later)[:, 0]
    whole = artefacts.from_the_first(rest, opened, share)
    for i, prompt in enumerate(long_enough):
        states = hooked(any_subject, prompt)[:, 2]
        np.testing.assert_allclose(opened[i], states[:3].mean(axis=0), atol=1e-5, rtol=0)
        np.testing.assert_allclose(whole[i], states.mean(axis=0), atol=1e-5, rtol=0)


def test_mean_squares_are_over_the_tokens_of_all_texts(tiny):
    found = mistakes.mean_squares(tiny, PROMPTS, range(5), {"all": EVERY_TOKEN}, "start")
    states = [hooked(tiny, prompt) for prompt in PROMPTS]
    np.testing.assert_allclose(found["all"], np.mean(np.concatenate(states) ** 2, axis=0), rtol=1e-4)
    np.testing.assert_allclose(found["start"], np.mean([s[0] ** 2 for s in states], axis=0), rtol=1e-4)


def test_a_second_read_comes_from_the_cache(tiny, monkeypatch):
    once = mistakes.states_at_mask_sum(tiny, PROMPTS, [1], "left")
    monkeypatch.setattr(mistakes, "_padded", lambda *_: pytest.fail("read again"))
    np.testing.assert_array_equal(mistakes.states_at_mask_sum(tiny, PROMPTS, [1], "left"), once)


def rated_directions(lengths: np.ndarray, seed=0) -> np.ndarray:
    """Vectors that point where the ratings say, with one direction in common, of the lengths given."""
    rng = np.random.default_rng(seed)
    ratings = paper.human_ratings().reindex(WORDS)[["pleasure", "arousal"]].fillna(0.0)
    made = np.zeros((len(WORDS), 12))
    made[:, 0], made[:, 1], made[:, 2] = ratings.pleasure, 0.5 * ratings.arousal, 1.0
    return lengths[:, None] * unit(made + 0.01 * rng.normal(size=made.shape))


def test_first_component_of_unscaled_vectors_is_their_length():
    lengths = np.random.default_rng(1).lognormal(0, 1.5, len(WORDS))
    recipes = {
        artefacts.OURS: unit(rated_directions(lengths)),
        "vectors as they come": rated_directions(lengths),
    }
    table = artefacts.components(recipes, WORDS, 100, np.random.default_rng(2)).set_index("recipe")
    right, wrong = table.loc[artefacts.OURS], table.loc["vectors as they come"]
    assert wrong.pc1_norm_r > 0.95
    assert right.pc1_norm_r < 0.3
    assert right.pc1_pleasure_r > 0.95
    assert abs(wrong.pc1_pleasure_r) < 0.4
    assert wrong.longest_to_median == pytest.approx(lengths.max() / np.median(lengths))


def test_our_recipe_makes_the_vectors_of_the_other_chapters():
    rng = np.random.default_rng(3)
    stories, emotions = rng.normal(size=(2 * len(WORDS), 1, 12)), [*WORDS, *WORDS]
    neutral = rng.normal(size=(20, 1, 12))
    made = vectors.denoise(vectors.fit(stories, emotions, WORDS, [0], "sim", "sim"), neutral)
    recipes = artefacts.ways_to_decompose(stories[:, 0], 2 * stories[:, 0], emotions, neutral[:, 0], WORDS)
    np.testing.assert_allclose(recipes[artefacts.OURS], unit(made.at(0)), atol=1e-5)
    np.testing.assert_allclose(recipes["vectors as they come"], made.at(0), atol=1e-5)
    np.testing.assert_allclose(recipes["as they come, read from the first token"], 2 * made.at(0), atol=1e-5)


def shared_case(shared: float) -> tuple[np.ndarray, list[str], np.ndarray]:
    """States that hold their own emotion and, all of them, `shared` times the fourth one's vector."""
    names = list(SCENARIO_EMOTIONS)
    directions = np.eye(len(names), 20)
    labels = names * 4
    states = np.concatenate([directions] * 4) + shared * directions[3]
    return states, labels, directions


@pytest.mark.parametrize(("shared", "expected"), [(0.0, 1.0), (50.0, 1 / 12)])
def test_what_all_texts_share_decides_uncentred_readings_and_no_centred_ones(shared, expected):
    states, labels, directions = shared_case(shared)
    names = list(SCENARIO_EMOTIONS)
    assert artefacts.hits(states, labels, directions, names, centred=True).all()
    assert artefacts.hits(states, labels, directions, names, centred=False).mean() == pytest.approx(expected)


def test_table_of_winners_names_the_shared_vector():
    states, labels, directions = shared_case(50.0)
    names = tuple(SCENARIO_EMOTIONS)
    made = EmotionVectors(directions[:, None], directions[:1], names, (0,), {}, "sim", "sim")
    table = artefacts.winners(states, labels, made, 0)
    wrong = table[table.way == "not centred"].set_index("emotion")
    assert wrong.wins[names[3]] == len(labels)
    assert wrong.positive[names[3]] == 1
    assert (table[table.way == "centred"].wins == 4).all()


def test_lengths_and_pushes_follow_from_the_squares():
    content = np.full((1, 4), 1.0)  # length 2
    spike = np.array([[0.0, 0.0, 0.0, 400.0]])  # length 20, all of it in one dimension
    made = EmotionVectors(np.ones((2, 1, 4)), np.zeros((1, 4)), ("a", "b"), (0,), {}, "sim", "sim")
    table = artefacts.norms({artefacts.CONTENT: content, "spike": spike}, made).set_index("place")
    assert table.norm.tolist() == [2, 20]
    assert table.to_content.tolist() == [1, 10]
    assert table.massive_share.tolist() == [0.5, 1]
    assert table.without_massive[artefacts.CONTENT] == pytest.approx(np.sqrt(2))
    rows = artefacts._norm_rows(table.reset_index(), 0)
    assert [row["wrong"] for row in rows] == pytest.approx([3.0, 0.3 / np.sqrt(2)])


@pytest.mark.parametrize("k", [3, 4, 5])
def test_monotone_curves_of_noise_are_two_in_k_factorial(k):
    expected = 2 / factorial(k)
    assert artefacts.by_chance(artefacts.monotone, k) == pytest.approx(expected)
    noise = np.random.default_rng(k).normal(size=(40_000, k))
    spread = np.sqrt(expected * (1 - expected) / len(noise))
    assert abs(artefacts.monotone(noise).mean() - expected) < 4 * spread


def test_rank_test_is_that_of_scipy():
    curves = np.array(list(permutations(range(5))), dtype=float)
    theirs = np.array([abs(spearmanr(curve, range(5)).statistic) > 0.8 + 1e-9 for curve in curves])
    assert 0 < theirs.mean() < 1
    np.testing.assert_array_equal(artefacts.high_rank(curves), theirs)
    assert artefacts.by_chance(artefacts.high_rank, 5) == theirs.mean()


def test_steering_both_leaves_no_contrast():
    rng = np.random.default_rng(4)
    probe_r = rng.uniform(-1, 1, 30)
    pairs = pd.DataFrame(
        {
            "emotion": WORDS[:30],
            "probe_r": probe_r,
            "steered_minus_control": 2 * probe_r,
            "same_with_both_steered": 0.01 * rng.normal(size=30),
        }
    )
    size, follows = artefacts._contrast_rows(artefacts.contrast(pairs), SCALES["smoke"], rng)
    assert size["right"] == pytest.approx(2 * probe_r.std())
    assert size["wrong"] < 0.02
    assert follows["right"] == pytest.approx(1)
    assert follows["wrong"] == pytest.approx(np.corrcoef(probe_r, pairs.same_with_both_steered)[0, 1])


def test_dose_moves_every_random_direction_that_shares_it_and_no_curve_of_noise():
    """A step along one direction makes all curves monotone; without it they pass as noise does."""
    rng = np.random.default_rng(5)
    texts = corpus.Corpus()
    shown = [p for p in texts.severity_prompts if p.family in (severity.FAMILY, severity.CONTROL)]
    design = severity.prompts(texts.severity_families, shown)
    made = EmotionVectors(
        rng.normal(size=(171, 1, 40)).astype(np.float32), np.zeros((1, 40)), WORDS, (0,), {}, "sim", "sim"
    )
    step = np.where(design.control, 0.0, np.log2(design.value))[:, None, None]
    states = rng.normal(size=(len(design), 1, 40)) + 40 * step * unit(rng.normal(size=40))
    states[:, :, 0] += 100
    table = artefacts.curves({severity.PAPER_POSITION: states}, design, made, 0, 300, rng)
    rank = table[table.test != "monotone"].groupby(["family", "directions"]).passes.mean()
    assert rank["tylenol", artefacts.MIXTURES] > 0.8
    assert rank["tylenol", artefacts.ANYWHERE] > 0.8
    chance = table[table.test != "monotone"].independent.iloc[0]
    assert rank["chalk", artefacts.ANYWHERE] == pytest.approx(chance, abs=0.1)
