"""A re-run that agrees passes; one number, verdict, claim or byte that does not is named."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from conftest import content
from test_claims import evidence
from typer.testing import CliRunner

from emolib import claims, cli, files, results, study, verification
from emolib.errors import EmolibError
from emolib.results import Outcome

PROFILE, CLAIM = "smollm2-135m-instruct", "geometry.pc1_pleasure_r"
# What test_claims gives as evidence.
ESTIMATE, HALF_WIDTH = 0.7, 0.15
MACHINE = {
    "system": "Linux",
    "processor": "x86_64",
    "cores": 2,
    "threads": 2,
    "capability": "AVX512",
    "instructions": ["avx512_bf16"],
    "gpu": None,
}
TABLE = pd.DataFrame({"emotion": ["calm", "sad"], "reading": [0.5, -0.25]})


def run(folder, shift=0.0, without=(), table=TABLE, machine=MACHINE, **about):
    """A run folder with every chapter that the ledger names; `shift` moves one claim's estimate."""
    chapters = {}
    for entry in claims.ledger().values():
        if entry.chapter and entry.id not in without:
            made = evidence(
                entry.id,
                ESTIMATE + (shift if entry.id == CLAIM else 0),
                control=claims.Control(estimate=0, ci=(-1, 1), difference_ci=(1, 2)),
            )
            chapters.setdefault(entry.chapter, []).append(claims.judge(made))
    settings = {"scale": "smoke", "seed": 0, "layer": 3, "chosen_layer": None, "corpus": "c", "device": "cpu"}
    settings |= {"dtype": "bfloat16", "compare_dtype": "float32", "fingerprint": "f", "machine": machine}
    for chapter, found in chapters.items():
        record = results.provenance(key="k", **{**settings, **about})
        results.save(folder / chapter, Outcome({"readings": table}, found), record)
    return folder


@pytest.fixture
def published():
    """A published folder, made by `publish`."""
    run(results.run_folder(PROFILE, "smoke"))
    return results.publish(PROFILE, "smoke")


def edit(folder, change, seal=True):
    """Change the published claims by hand (`change` gets them by id); `seal` corrects the hash as well."""
    path = folder / "claims.json"
    content = json.loads(path.read_text())
    change({claim["id"]: claim for claim in content["claims"]})
    path.write_text(json.dumps(content))
    if seal:
        seal_again(folder, lambda record: record["sha256"].update({"claims.json": files.sha256_of(path)}))
    return folder


def seal_again(folder, change):
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def verify(*arguments):
    """What the command says, and its exit status; the error's text where it is one."""
    ran = CliRunner().invoke(cli.app, ["verify", *map(str, arguments)])
    if isinstance(ran.exception, EmolibError):
        assert "\n" not in str(ran.exception)
        return str(ran.exception), 1
    assert ran.exception is None or isinstance(ran.exception, SystemExit)
    return ran.stdout, ran.exit_code


def marked(said):
    """The claims whose line says no."""
    return [line.split()[1] for line in said.splitlines() if "│" in line and "no:" in line]


def n_tested():
    return sum(entry.chapter is not None for entry in claims.ledger().values())


def test_published_results_agree_with_themselves_and_stay_as_they_are(published, tmp_path):
    before = content(published)
    assert len(before) > 3
    said, status = verify("--against", published)
    assert status == 0
    assert said.splitlines()[-1] == f"{n_tested()} claims: all agree"
    assert said.count("│ yes") == n_tested()
    assert "geometry: 1 of 1 tables identical" in said
    verify("--against", run(tmp_path / "again", shift=0.1, without=("geometry.cluster_ari",)))
    assert content(published) == before


def test_number_changed_by_hand_is_an_altered_file(published):
    edit(published, lambda found: found[CLAIM].update(estimate=0.9), seal=False)
    said, status = verify("--against", results.run_folder(PROFILE, "smoke"))
    assert status == 1
    assert f"{published / 'claims.json'} was altered" in said


def test_number_changed_with_its_hash_is_the_one_line_that_does_not_agree(published):
    edit(published, lambda found: found[CLAIM].update(estimate=0.9))
    said, status = verify("--against", results.run_folder(PROFILE, "smoke"))
    assert status == 1
    assert marked(said) == [CLAIM]
    line = next(line for line in said.splitlines() if CLAIM in line)
    assert "0.9000" in line
    assert "0.7000" in line
    assert "-0.2" in line
    assert said.splitlines()[-1] == f"1 of {n_tested()} do not agree"


def test_verdict_that_changed_is_enough(published):
    edit(published, lambda found: found[CLAIM].update(verdict="partly"))
    said, status = verify("--against", results.run_folder(PROFILE, "smoke"))
    assert status == 1
    assert marked(said) == [CLAIM]
    assert "partly → replicated" in said
    assert "no: verdict changed" in said


def test_claim_that_one_side_lacks_does_not_agree(published, tmp_path):
    said, status = verify("--against", run(tmp_path / "again", without=(CLAIM,)))
    assert (status, marked(said)) == (1, [CLAIM])
    assert "not in the re-run" in said
    edit(published, lambda found: found[CLAIM].update(verdict="not run", estimate=None, ci=None))
    seal_again(published, lambda record: record["chapters"]["geometry"]["claims"].remove(CLAIM))
    said, status = verify("--against", results.run_folder(PROFILE, "smoke"))
    assert (status, marked(said)) == (1, [CLAIM])
    assert "not published" in said


OTHERS = {
    "instructions": {"machine": {**MACHINE, "instructions": ["amx_bf16", "avx512_bf16"]}},
    "capability": {"machine": {**MACHINE, "capability": "AVX2"}},
    "device": {"device": "cuda", "machine": {**MACHINE, "gpu": "NVIDIA H100"}},
    "precision": {"dtype": "float32", "fingerprint": "of other bytes"},
    "not recorded": {"machine": {"system": "Linux", "processor": "x86_64", "cores": 2}},
}


def allows(published, tmp_path, about, share, words):
    """A shift just below this share of half the interval agrees, one just above does not."""
    for factor, agrees in ((0.9, True), (1.1, False)):
        shift = factor * share * HALF_WIDTH
        again = results.read_run(run(tmp_path / f"{factor}", shift=shift, **about))
        found = verification.compare(results.read_published(published), again)
        assert found.agrees == agrees
        assert any(words in line for line in found.about)
    assert found.claims.set_index("claim").tolerance[CLAIM] == pytest.approx(share * HALF_WIDTH)


def test_a_chapter_by_itself(published, tmp_path):
    """A change elsewhere is not its matter, one of its own is."""
    again = run(tmp_path / "again", shift=2 * HALF_WIDTH)
    said, status = verify("--against", again, "--chapter", "severity")
    assert status == 0
    assert "severity." in said
    assert "geometry" not in said
    said, status = verify("--against", again, "--chapter", "geometry", "--chapter", "severity")
    assert (marked(said), status) == ([CLAIM], 1)
    n = sum(entry.chapter in ("geometry", "severity") for entry in claims.ledger().values())
    assert f"1 of {n} do not agree" in said


@pytest.mark.parametrize("chapter", ["texts", "geomtry"])
def test_a_chapter_without_claims_names_those_that_have_some(published, chapter):
    said, status = verify("--chapter", chapter)
    assert status == 1
    assert re.search(rf"no judged claim of a chapter {chapter}; it has some of .*geometry", said)


@pytest.mark.parametrize("about", [{}, {"machine": {**MACHINE, "threads": 8}}], ids=["all", "threads"])
def test_same_machine_class_allows_a_tenth_of_half_the_interval(published, tmp_path, about):
    allows(published, tmp_path, about, 0.1, "same machine class")


@pytest.mark.parametrize("about", OTHERS.values(), ids=OTHERS)
def test_another_machine_class_allows_half_the_interval(published, tmp_path, about):
    allows(published, tmp_path, about, 1.0, "another machine class")


def test_other_settings_are_named(published, tmp_path):
    again = results.read_run(run(tmp_path / "again", seed=7))
    found = verification.compare(results.read_published(published), again)
    assert "seed differs: 0 published, 7 in the re-run" in found.about


def test_results_of_another_model_are_not_compared(published, tmp_path):
    said, status = verify("--against", run(tmp_path / "again", fingerprint="g"))
    assert status == 1
    assert "the model has fingerprint g" in said


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE.assign(reading=[0.5, -0.2505]), "readings differs only in digits (up to 5.0e-04 in reading)"),
        (TABLE.assign(emotion=["calm", "glad"]), "readings differs in words"),
        (TABLE.assign(reading=[0.5, None]), "readings has gaps in other places"),
        (TABLE.assign(more=1), "readings has other columns or another number of rows"),
        (TABLE.head(1), "readings has other columns or another number of rows"),
    ],
)
def test_tables_are_told_apart_by_what_differs(published, tmp_path, table, said):
    again = results.read_run(run(tmp_path / "again", table=table))
    found = verification.compare(results.read_published(published), again)
    assert f"geometry: 0 of 1 tables identical; {said}" in found.tables
    assert found.agrees


def test_junit_and_markdown_say_the_same(published, tmp_path):
    edit(published, lambda found: found[CLAIM].update(estimate=0.9))
    xml, text = tmp_path / "report.xml", tmp_path / "report.md"
    run_folder = results.run_folder(PROFILE, "smoke")
    assert verify("--against", run_folder, "--junit", xml, "--markdown", text)[1] == 1
    suite = ET.parse(xml).getroot()
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), "1")
    assert len(cases) == n_tested()
    assert [case.get("name") for case in failed] == [CLAIM]
    assert "0.9000 | 0.7000 | -0.2" in failed[0].find("failure").get("message")
    lines = text.read_text().splitlines()
    assert sum(line.endswith("| yes |") for line in lines) == n_tested() - 1
    assert [line.split(" | ")[0] for line in lines if "no: " in line] == [f"| {CLAIM}"]
    assert lines[-1] == f"**1 of {n_tested()} do not agree**"


def old_schema(folder):
    seal_again(folder, lambda record: record.update(schema=1))


def without_interval(folder):
    edit(folder, lambda found: found[CLAIM].update(ci=None))


def unknown(folder):
    edit(folder, lambda found: found[CLAIM].update(id="geometry.pc9"))


def dropped(folder):
    edit(folder, lambda found: found[CLAIM].update(verdict="not run"))


def altered_table(folder):
    (folder / "geometry" / "readings.parquet").write_bytes(b"other")


def missing_table(folder):
    (folder / "geometry" / "readings.parquet").unlink()


def broken_record(folder):
    (folder / "provenance.json").write_text("{oops")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (old_schema, r"is of schema 1, this version reads schema 2; check out the version .*make results"),
        (without_interval, rf"no tolerance can be computed for '{CLAIM}'"),
        (unknown, r"unknown metric 'geometry.pc9'"),
        (dropped, rf"lacks '{CLAIM}', which chapter geometry tested"),
        (altered_table, r"geometry/readings.parquet was altered"),
        (missing_table, r"geometry/readings.parquet is missing"),
        (broken_record, r"provenance.json is not valid JSON"),
        (shutil.rmtree, r"no published results in .*make results"),
    ],
)
def test_damaged_publication_is_one_line_that_says_what_to_do(published, damage, message):
    damage(published)
    with pytest.raises(EmolibError, match=message) as caught:
        results.read_published(published)
    assert "run `make results`" in str(caught.value)
    assert verify("--against", results.run_folder(PROFILE, "smoke")) == (str(caught.value), 1)


def test_folder_that_is_not_there_or_holds_nothing(published, tmp_path):
    assert verify("--against", "nowhere") == ("no folder nowhere; name one below runs/ or results/", 1)
    said, status = verify("--against", tmp_path)
    assert status == 1
    assert said.startswith("nothing was run in")


def test_every_chapter_has_an_experiment_a_method_and_a_notebook():
    root = Path(study.__file__).parent
    experiments = {
        path.stem for path in (root / "experiments").glob("*.py") if "def run(" in path.read_text()
    }
    assert {*study.CHAPTERS, *study.WITH_STAGES} == experiments
    every = {*study.CHAPTERS, *study.WITH_STAGES}
    assert {entry.chapter for entry in claims.ledger().values() if entry.chapter} <= every
    notebooks = [path.read_text() for path in (root.parent / "notebooks").glob("*.ipynb")]
    for chapter in study.CHAPTERS:
        assert callable(getattr(study.Study, chapter))
        assert any(f"run.{chapter}(" in text for text in notebooks), chapter
