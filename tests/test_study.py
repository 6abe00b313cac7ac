"""A whole study on a tiny random model, from texts to claims."""

import json

import numpy as np
import pytest
from conftest import content, save_profile

from emolib import activations, claims, results, study, verification
from emolib.errors import EmolibError


@pytest.fixture
def profile(tmp_path):
    """A profile file for a tiny model saved in a folder."""
    return save_profile(tmp_path)


def test_study_runs_and_a_second_one_reads_nothing_again(profile, monkeypatch):
    first = study.open(profile, "smoke", device="cpu")
    found = [first.geometry(), first.severity(), first.preferences(), first.preference_steering()]
    found.append(first.artefacts())
    trained_here = {"posttraining", "suppression"}  # see test_posttraining_study.py
    assert {c.id for outcome in found for c in outcome.claims} == {
        entry.id
        for entry in claims.ledger().values()
        if entry.chapter and not entry.missing and entry.chapter not in trained_here
    }
    assert first.vectors.array.shape == (171, 5, 32)

    def forbidden(*args):
        raise AssertionError("read again")

    monkeypatch.setattr(activations, "_read_batch", forbidden)
    again = study.open(profile, "smoke", device="cpu")
    np.testing.assert_array_equal(again.vectors.array, first.vectors.array)
    assert again.geometry().claims == found[0].claims


def test_run_again_from_scratch_reads_anew_and_gives_the_same_numbers(profile, tmp_path, monkeypatch):
    first = study.open(profile, "smoke", device="cpu")
    once = first.geometry()
    before, kept = results.read_run(first.folder), content(tmp_path)
    place, batches, read = tmp_path / "place", [], activations._read_batch
    monkeypatch.setattr(activations, "_read_batch", lambda *args: batches.append(1) or read(*args))
    again = study.run_again(before, profile, "smoke", "cpu", place)
    assert batches
    assert again.folder.is_relative_to(place)
    found = verification.compare(before, again)
    assert list(found.claims.claim) == [claim.id for claim in once.claims]
    assert (found.claims.difference == 0).all()
    assert found.tables == ["geometry: 6 of 6 tables identical"]
    assert {path: data for path, data in content(tmp_path).items() if place not in path.parents} == kept
    other = study.open(profile, "smoke", seed=1, device="cpu").geometry()
    assert other.claims[0].estimate == once.claims[0].estimate
    assert other.claims[0].ci != once.claims[0].ci


def test_run_again_with_another_model_is_refused_before_anything_is_read(profile, tmp_path):
    first = study.open(profile, "smoke", device="cpu")
    record = {"fingerprint": "f", "dtype": "float32", "seed": 0, "chosen_layer": None}
    before = results.Results(first.folder, {"geometry": record}, [])
    with pytest.raises(EmolibError, match=f"the model has fingerprint {first.subject.fingerprint}"):
        study.run_again(before, profile, "smoke", "cpu", tmp_path / "place")
    assert not (tmp_path / "place" / "runs").exists()


def test_other_texts_keep_to_their_own_folder_and_are_named(profile, tmp_path):
    turns = [{"role": "user", "text": "2+2?"}, {"role": "assistant", "text": "4."}]
    chats = [{"id": f"mine-{i}", "kind": "facts", "turns": turns} for i in range(3)]
    folder = tmp_path / "foreign"
    folder.mkdir()
    lines = (
        json.dumps({**chat, "turns": [turns[0], {**turns[1], "text": f"{i}."}]})
        for i, chat in enumerate(chats)
    )
    (folder / "neutral.jsonl").write_text("\n".join(lines) + "\n")
    own = study.open(profile, "smoke", device="cpu")
    foreign = study.open(profile, "smoke", device="cpu", corpus=folder)
    foreign.geometry()
    assert foreign.folder.name == "smoke+foreign"
    assert not own.folder.exists()
    record = json.loads((foreign.folder / "geometry" / "provenance.json").read_text())
    assert [name for name, source in record["texts"].items() if not source["own"]] == ["neutral dialogues"]
    assert record["corpus"] != own.corpus.hash()
    with pytest.raises(EmolibError, match="no folder nowhere"):
        study.open(profile, "smoke", corpus="nowhere")


def test_layer_out_of_range_is_refused_before_anything_is_read(profile):
    with pytest.raises(EmolibError, match="layer 9 is out of range: tiny has layers 0 to 4"):
        study.open(profile, "smoke", layer=9, device="cpu").prepare()


def test_layer_that_is_no_number_is_refused():
    assert study.check_layer("") is None
    assert study.check_layer("7") == 7
    with pytest.raises(EmolibError, match="must be a whole number, not 'two'"):
        study.check_layer("two")
