"""Results appear whole or not at all, and only `publish` writes what is published."""

import errno
import json
import os

import pandas as pd
import pytest
from test_claims import evidence

from emolib import claims, files, results
from emolib.errors import EmolibError
from emolib.results import Outcome


def ids_with_a_chapter():
    """Claims that every publication holds."""
    return [entry.id for entry in claims.ledger().values() if entry.chapter and not entry.missing]


def outcome(ids=None):
    table = pd.DataFrame({"emotion": ["calm", "sad"], "reading": [0.5, -0.25]})
    control = claims.Control(estimate=0, ci=(-1, 1), difference_ci=(1, 2))
    return Outcome(
        {"readings": table}, [claims.judge(evidence(i, control=control)) for i in ids or ids_with_a_chapter()]
    )


def saved(profile="tiny", scale="smoke", chapter="geometry", **kwargs):
    folder = results.runs_dir() / profile / scale / chapter
    results.save(folder, outcome(**kwargs), results.provenance(key="k1"))
    return folder


def test_saved_results_come_back():
    folder = saved()
    back = results.load(folder, "k1")
    pd.testing.assert_frame_equal(back["readings"], outcome()["readings"])
    assert back.claims == outcome().claims
    record = json.loads((folder / "provenance.json").read_text())
    assert set(record["versions"]) >= {"torch", "transformers", "nnsight"}


def test_results_of_another_key_are_not_reused():
    assert results.load(saved(), "k2") is None


def test_interrupted_save_leaves_nothing_that_would_be_reused(monkeypatch):
    folder = saved()
    monkeypatch.setattr(results, "write_json", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        results.save(folder, outcome(), results.provenance(key="k1"))
    assert results.load(folder, "k1") is None


def test_full_disk_is_one_clear_line_and_leaves_no_file(tmp_path, monkeypatch):
    target = tmp_path / "out" / "table.bin"
    files.write_whole(target, lambda file: file.write(b"before"))

    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EmolibError, match="the disk is full"):
        files.write_whole(target, lambda file: file.write(b"after"))
    assert target.read_bytes() == b"before"
    assert list(target.parent.iterdir()) == [target]


def test_interrupted_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.bin"
    files.write_whole(target, lambda file: file.write(b"before"))

    def interrupted(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_whole(target, interrupted)
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_publishing_copies_tables_claims_and_hashes():
    folder = saved()
    target = results.publish("tiny", "smoke")
    assert results.published_profiles() == ["tiny"]
    assert results.published_claims("tiny") == claims.complete(outcome().claims)
    record = json.loads((target / "provenance.json").read_text())["chapters"]["geometry"]
    assert record["sha256"]["readings"] == files.sha256_of(target / "geometry" / "readings.parquet")
    assert (folder / "readings.parquet").is_file()


def test_runs_never_change_what_is_published():
    saved()
    target = results.publish("tiny", "smoke")
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert before
    saved(ids=("geometry.pc1_pleasure_r",))
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before


def test_publishing_nothing_or_half_is_refused():
    with pytest.raises(EmolibError, match="nothing was run for tiny"):
        results.publish("tiny", "smoke")
    saved(ids=("geometry.pc1_pleasure_r",))
    with pytest.raises(EmolibError, match=f"{len(ids_with_a_chapter()) - 1} claims have not been run"):
        results.publish("tiny", "smoke")
    assert not results.results_dir().exists()


def test_scales_do_not_share_results():
    saved(scale="smoke")
    assert {c.verdict for c in results.fresh_claims("tiny", "standard")} == {"not run"}


def test_claims_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "claims.json"
    for content in ("{oops", '{"numbers": []}', '[{"id": "x"}]'):
        path.write_text(content)
        with pytest.raises(EmolibError, match="does not hold claims"):
            results.read_claims(path)


def test_scorecard_has_a_row_per_claim_and_blanks_where_nothing_was_run():
    rows = results.scorecard(claims.complete([claims.judge(evidence())])).set_index("claim")
    assert list(rows.index) == list(claims.ledger())
    run = rows.pop("verdict") != "not run"
    assert list(rows[run].index) == ["geometry.pc1_pleasure_r"]
    assert rows.ours[run].item() == "0.70"
    assert (rows.ours[~run] == "").all()
