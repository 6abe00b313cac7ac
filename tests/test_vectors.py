"""Vectors against closed-form cases."""

import numpy as np
import pytest

from emolib import vectors
from emolib.errors import EmolibError

NAMES = ("calm", "sad", "proud")


def fitted(states, emotions, names=NAMES, fingerprint="model"):
    return vectors.fit(states, emotions, names, range(states.shape[1]), fingerprint, "texts")


def test_vector_is_the_emotions_mean_minus_the_mean_over_emotions():
    # Two calm stories, one of each other: the mean over emotions must not count calm twice.
    states = np.array([[[1.0, 0.0]], [[3.0, 0.0]], [[0.0, 6.0]], [[1.0, 0.0]]])
    made = fitted(states, ["calm", "calm", "sad", "proud"])
    origin = np.array([1.0, 2.0])  # of the means (2, 0), (0, 6), (1, 0)
    np.testing.assert_allclose(made.origin[0], origin)
    np.testing.assert_allclose(made.at(0), np.array([[2, 0], [0, 6], [1, 0]]) - origin)


def test_vectors_sum_to_zero_in_every_layer():
    states = np.random.default_rng(0).normal(size=(12, 4, 7)) + 5
    made = fitted(states, list(NAMES) * 4)
    np.testing.assert_allclose(made.array.sum(axis=0), 0, atol=1e-5)


def test_emotion_without_a_story_is_an_error():
    with pytest.raises(EmolibError, match="no story for 'proud'"):
        fitted(np.zeros((2, 1, 3)), ["calm", "sad"])


@pytest.mark.parametrize(("share", "n"), [(0.5, 1), (0.64, 1), (0.65, 2), (0.9, 2), (0.95, 3), (1.0, 3)])
def test_fewest_components_that_hold_the_share_are_found(share, n):
    # Orthogonal axes with variances 9 : 4 : 1, that is .643, .286 and .071 of the whole.
    axes = np.diag([3.0, 2.0, 1.0])
    samples = np.concatenate([axes, -axes]) + 100
    basis = vectors.principal_components(samples, share)
    assert len(basis) == n
    np.testing.assert_allclose(np.abs(basis), np.eye(3)[:n], atol=1e-12)


def test_projection_removes_the_span_and_nothing_else():
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0].T
    inside, outside = rng.normal(size=(4, 2)) @ basis, rng.normal(size=(4, 6))
    outside -= outside @ basis.T @ basis
    np.testing.assert_allclose(vectors.project_out(inside + outside, basis), outside, atol=1e-6)


def test_denoised_vectors_are_blind_to_what_neutral_texts_vary_in():
    rng = np.random.default_rng(2)
    nuisance = vectors.unit(rng.normal(size=8))
    feelings = {name: rng.normal(size=8) for name in NAMES}
    emotions = [name for name in NAMES for _ in range(200)]
    states = np.array(
        [feelings[e] + 9 * rng.normal() * nuisance + 0.01 * rng.normal(size=8) for e in emotions]
    )
    neutral = np.array([9 * rng.normal() * nuisance + 0.01 * rng.normal(size=8) for _ in range(300)])
    raw = fitted(states[:, None], emotions)
    clean = vectors.denoise(raw, neutral[:, None])
    assert clean.steps["neutral_components"] == [1]
    assert np.abs(raw.at(0) @ nuisance).max() > 0.1
    assert np.abs(clean.at(0) @ nuisance).max() < 0.01


def test_cosine_ignores_length():
    states, directions = np.array([[3.0, 4.0], [0.0, 0.1]]), np.array([[10.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(vectors.cosine(states, directions), [[0.6, 0.8], [0.0, 1.0]])


def test_saved_vectors_come_back_as_they_were(tmp_path):
    made = vectors.denoise(
        fitted(np.random.default_rng(3).normal(size=(6, 2, 5)), list(NAMES) * 2),
        np.random.default_rng(4).normal(size=(9, 2, 5)),
    )
    made.save(tmp_path / "v.safetensors")
    back = vectors.EmotionVectors.load(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(back.array, made.array)
    np.testing.assert_array_equal(back.origin, made.origin)
    assert (back.names, back.layers, back.steps) == (made.names, made.layers, made.steps)
    assert (back.fingerprint, back.corpus_hash) == ("model", "texts")


def test_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "v.safetensors").write_bytes(b"not vectors")
    with pytest.raises(EmolibError, match="does not hold emotion vectors"):
        vectors.EmotionVectors.load(tmp_path / "v.safetensors")


def test_vectors_of_another_model_are_refused_unless_wanted():
    made = fitted(np.zeros((3, 1, 2)), NAMES, fingerprint="one")
    with pytest.raises(EmolibError, match="come from model one"):
        made.check_subject("two")
    made.check_subject("two", allow_other=True)
    made.check_subject("one")


def test_layer_or_emotion_that_is_not_held_is_named():
    made = fitted(np.zeros((3, 2, 2)), NAMES)
    with pytest.raises(EmolibError, match="layer 2 is out of range"):
        made.at(2)
    with pytest.raises(EmolibError, match="no vector for 'glad'"):
        made.index("glad")
