"""The chapters on post-training on a tiny random model: trained, read, judged, and not done twice."""

import numpy as np
import pytest
import torch
from conftest import save_profile

from emolib import activations, before_after, claims, posttraining, study
from emolib.errors import EmolibError
from emolib.experiments import lesson as lessons
from emolib.experiments import posttraining as trainings
from emolib.experiments import shifts, suppression


@pytest.fixture
def profile(tmp_path):
    """A profile file for a tiny model saved in a folder."""
    return save_profile(tmp_path)


def entries(chapter: str) -> list[str]:
    return [entry.id for entry in claims.ledger().values() if entry.chapter == chapter]


def chapters(run: study.Study) -> list:
    return [run.posttraining(), run.suppression(), run.lesson(), run.lesson("flat", "dpo", steps=1)]


def test_the_chapters_train_and_read_once(profile, monkeypatch):
    monkeypatch.setattr(study, "TURNED_TOPICS", 1)
    first = study.open(profile, "smoke", device="cpu", training_seeds=2)
    found = chapters(first)
    trained, suppressed, taught, preferred = found
    assert {claim.id for claim in trained.claims} == set(entries("posttraining"))
    assert {claim.id for claim in suppressed.claims} == set(entries("suppression"))
    assert taught.claims == preferred.claims == []

    losses = trained["losses"]
    assert set(zip(losses.training, losses.seed, strict=True)) == {
        (name, seed) for name in trainings.TRAININGS for seed in (0, 1)
    }
    assert (losses.groupby(["training", "seed"]).size() == first.scale.training_steps).all()
    assert losses.groupby("seed").loss.sum().nunique() == 2
    for outcome in (trained, suppressed):
        assert set(outcome["by_seed"].seed) == {0, 1}
        assert np.isfinite(outcome["by_seed"].estimate).all()
        assert set(outcome["replies"].training) >= {"before", "flat", "composed", "placebo"}
    assert set(trained["weights"].layer) == set(range(5))
    # Of the emotions hidden in dialogues at this scale, those with a message.
    deflection = suppressed["contrasts"].query("vectors == 'deflection'")
    assert (deflection.n == 4 * first.scale.scenarios).all()
    assert list(taught["doses"].dose) == list(lessons.DOSES)
    assert taught["doses"].arousal[0] == 0 != taught["doses"].arousal[2]
    assert len(taught["losses"]) == first.scale.training_steps // 2
    assert preferred["losses"].loss.tolist() == pytest.approx([np.log(2)], abs=0.01)

    def forbidden(*args, **kwargs):
        raise AssertionError("done again")

    for owner, name in (
        (activations, "_read_batch"),
        (posttraining, "_trainer"),
        (posttraining, "adapted"),
        (before_after.replies, "_sampled"),
        (trainings, "run"),
        (suppression, "run"),
    ):
        monkeypatch.setattr(owner, name, forbidden)
    again = study.open(profile, "smoke", device="cpu", training_seeds=2)
    for before, after in zip(found, chapters(again), strict=True):
        assert after.claims == before.claims
        for name, table in before.tables.items():
            assert after[name].equals(table), name


def test_a_trained_model_is_the_untrained_one_with_the_dose(profile):
    opened = study.open(profile, "smoke", device="cpu")
    untrained, precise = opened.subject, opened.precise
    adapter = opened._lesson_adapter("flat", "sft", 2)
    assert before_after.Trained("before", untrained, precise, None).model is untrained
    assert before_after.Trained("flat", untrained, precise, adapter, 0.0).model is untrained
    half = before_after.Trained("flat", untrained, precise, adapter, 0.5).model
    by_hand = posttraining.adapted(untrained, adapter, 0.5).model._module.state_dict()
    for name, tensor in half.model._module.state_dict().items():
        assert torch.equal(tensor, by_hand[name])

    whole = before_after.Trained("flat", untrained, precise, adapter)
    rough = before_after.Trained("flat", untrained.computing_in("bfloat16"), precise, adapter)
    assert (rough.model.dtype, rough.precise_model.dtype) == ("bfloat16", "float32")
    messages = ["Rain.", "We ate the plums."]
    found = {
        name: before_after.before_reply(each, messages, 3)
        for name, each in (
            ("half", before_after.Trained("flat", untrained, precise, adapter, 0.5)),
            ("whole", whole),
            ("rough", rough),
        )
    }
    for name, dose in (("half", 0.5), ("whole", 1.0), ("rough", 1.0)):
        model = posttraining.adapted(untrained, adapter, dose)
        chats = [model.chat([("user", message)]) for message in messages]
        rows = activations.read(model, chats, [3], activations.REPLY_START)[:, 0]
        np.testing.assert_array_equal(found[name], rows)
    assert not np.array_equal(found["half"], found["whole"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"style": "rude"}, "style must be one of composed, exuberant, flat, not 'rude'"),
        ({"method": "ppo"}, "method must be one of sft, dpo, not 'ppo'"),
        ({"steps": 0}, "steps must be 1 or more, not 0"),
        ({"steps": -1}, "steps must be 1 or more, not -1"),
    ],
)
def test_a_lesson_that_there_is_not_is_refused_before_the_model_is_loaded(
    profile, monkeypatch, given, message
):
    monkeypatch.setattr(study.subject, "load", None)
    with pytest.raises(EmolibError, match=message):
        study.open(profile, "smoke", device="cpu").lesson(**given)


def test_no_seed_is_no_training(profile):
    with pytest.raises(EmolibError, match="training_seeds must be 1 or more, not 0"):
        study.open(profile, "smoke", training_seeds=0)


def test_kinds_of_strain_are_taken_in_turn(profile):
    opened = study.open(profile, "smoke", device="cpu")
    kinds = [message.kind for message in opened.strain_messages]
    assert kinds[: opened.scale.messages] == [shifts.NEUTRAL] * opened.scale.messages
    strained = kinds[opened.scale.messages :]
    assert len(strained) == opened.scale.messages
    assert {kind: strained.count(kind) for kind in strained} == dict.fromkeys(strained, len(strained) // 6)
    for kind, text in opened.deep_dives:
        assert text == next(m.text for m in opened.corpus.read("challenge prompts") if m.kind == kind)
    whole = study.open(profile, "standard", device="cpu").strain_messages
    assert sorted(m.id for m in whole) == sorted(m.id for m in opened.corpus.read("challenge prompts"))
