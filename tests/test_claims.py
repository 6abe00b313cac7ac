"""Verdicts are computed from the rule, the evidence and nothing else."""

import re
from importlib import resources

import numpy as np
import pytest
import yaml
from scipy import stats

from emolib import claims, paper, study
from emolib.claims import Control, Evidence, Null, Rule
from emolib.corpus import Corpus
from emolib.errors import EmolibError

SECTION = re.compile(r"(?P<place>\d\.\d|A1|Discussion)(?:, .+)?")


def evidence(claim="geometry.pc1_pleasure_r", estimate=0.7, ci=(0.5, 0.8), null=(-0.3, 0.3), **more):
    return Evidence(
        id=claim,
        estimate=estimate,
        ci=ci,
        n=44,
        null=Null(kind="shuffled", n=1000, low=null[0], high=null[1], p=0.001),
        **more,
    )


# The paper's value is .81, so .648 is asked for.
@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (0.7, "replicated"),
        (0.65, "replicated"),
        (0.64, "partly"),
        (0.31, "partly"),
        (0.29, "not replicated"),
        (-0.8, "not replicated"),
    ],
)
def test_share_of_paper(estimate, verdict):
    assert claims.judge(evidence(estimate=estimate)).verdict == verdict


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [(-0.74, "replicated"), (-0.5, "partly"), (-0.1, "not replicated"), (0.8, "not replicated")],
)
def test_share_of_a_negative_value_is_reached_from_below(estimate, verdict):
    found = claims.judge(evidence("preferences.probe_r.hostile", estimate, (-0.9, 0.9), (-0.25, 0.25)))
    assert found.verdict == verdict
    assert "at most -0.59" in found.rule


def control(difference_ci):
    return Control(estimate=0.0, ci=(-1, 1), difference_ci=difference_ci)


@pytest.mark.parametrize(
    ("claim", "estimate", "ci", "difference_ci", "verdict"),
    [
        ("severity.tylenol.afraid", 3.0, (2.0, 4.0), (1.0, 3.0), "replicated"),
        ("severity.tylenol.afraid", 3.0, (2.0, 4.0), (-0.1, 3.0), "partly"),
        ("severity.tylenol.afraid", 3.0, (-0.1, 4.0), (1.0, 3.0), "not replicated"),
        ("severity.tylenol.afraid", 1.9, (1.0, 2.5), (1.0, 3.0), "not replicated"),
        ("severity.tylenol.afraid", -3.0, (-4.0, -2.0), (-3.0, -1.0), "not replicated"),
        ("severity.tylenol.calm", -3.0, (-4.0, -2.0), (-3.0, -1.0), "replicated"),
        ("severity.tylenol.calm", -3.0, (-4.0, -2.0), (-3.0, 0.1), "partly"),
        ("severity.tylenol.calm", 3.0, (2.0, 4.0), (1.0, 3.0), "not replicated"),
    ],
)
def test_expected_sign(claim, estimate, ci, difference_ci, verdict):
    found = claims.judge(evidence(claim, estimate, ci, (-2.0, 2.0), control=control(difference_ci)))
    assert found.verdict == verdict


# The bound is .3, for either sign; the null (here far above) has no say.
@pytest.mark.parametrize(
    ("estimate", "ci", "verdict"),
    [
        (0.1, (-0.1, 0.29), "replicated"),
        (-0.1, (-0.29, 0.1), "replicated"),
        (0.1, (-0.1, 0.3), "partly"),
        (-0.1, (-0.31, 0.1), "partly"),
        (0.3, (0.2, 0.4), "not replicated"),
        (-0.6, (-0.8, -0.4), "not replicated"),
        (float("nan"), (float("nan"), float("nan")), "not replicated"),
    ],
)
def test_at_most(estimate, ci, verdict):
    found = claims.judge(evidence("local.user_vs_reply_r", estimate, ci, (0.5, 0.9)))
    assert found.verdict == verdict


@pytest.mark.parametrize(
    ("rule", "value", "failure"),
    [
        (Rule(kind="share_of_paper"), 0.8, "replicated: above the null band and at least 0.64"),
        (Rule(kind="share_of_paper"), -0.8, "replicated: below the null band and at most -0.64"),
        (Rule(kind="expected_sign", sign=1), None, "not replicated: interval touching zero"),
        (Rule(kind="expected_sign", sign=-1), None, "the null band, or above it"),
        (Rule(kind="at_most", bound=0.3), None, "not replicated: 0.3 or more away from zero"),
    ],
)
def test_every_rule_says_in_words_what_counts_as_failure(rule, value, failure):
    words = claims.explain(rule, value)
    assert failure in words
    assert [part.split(":")[0] for part in words.split("; ")] == ["replicated", "partly", "not replicated"]


def test_a_rule_has_what_its_kind_needs():
    for wrong in (
        {"kind": "at_most"},
        {"kind": "at_most", "bound": 0},
        {"kind": "expected_sign", "bound": 1},
    ):
        with pytest.raises(ValueError, match="bound"):
            Rule(**wrong)
    entry = claims.ledger()["geometry.pc1_pleasure_r"].model_dump()
    for value in (None, 0):
        with pytest.raises(ValueError, match="value of the paper"):
            claims.Entry(**{**entry, "paper": value})


def test_invalid_instrument_says_nothing_either_way():
    assert claims.judge(evidence(valid=False)).verdict == "instrument not valid"


def test_claim_that_is_not_in_the_ledger_cannot_be_made():
    with pytest.raises(EmolibError, match="not in the ledger"):
        claims.judge(evidence("geometry.new_idea"))


def test_every_ledger_entry_is_listed_and_unrun_ones_say_so():
    listed = claims.complete([claims.judge(evidence())])
    assert [claim.id for claim in listed] == list(claims.ledger())
    verdicts = {claim.id: claim.verdict for claim in listed}
    assert verdicts.pop("geometry.pc1_pleasure_r") == "replicated"
    assert set(verdicts.values()) == {"not run"}
    assert sum(claim.estimate is not None for claim in listed) == 1


def test_p_values_are_adjusted_within_a_chapter():
    """Benjamini and Hochberg by hand: p times the number of claims over its rank, never falling."""
    ids = [entry.id for entry in claims.ledger().values() if entry.chapter == "geometry"][:3]
    other = next(entry.id for entry in claims.ledger().values() if entry.chapter == "severity")
    ps = dict(zip([*ids, other], [0.01, 0.04, 0.03, 0.02], strict=True))
    made = []
    for claim_id, p in ps.items():
        found = claims.judge(evidence(claim_id))
        made.append(found.model_copy(update={"null": found.null.model_copy(update={"p": p})}))
    adjusted = {claim.id: claim.p_adjusted for claim in claims.complete(made) if claim.null}
    assert adjusted == pytest.approx({ids[0]: 0.03, ids[1]: 0.04, ids[2]: 0.04, other: 0.02})


def test_an_entry_says_who_tests_it_or_what_is_missing():
    entry = claims.ledger()["geometry.pc1_pleasure_r"].model_dump()
    with pytest.raises(ValueError, match="give the chapter that tests it, or what is missing"):
        claims.Entry(**{**entry, "chapter": None})
    assert claims.Entry(**{**entry, "missing": "a larger model"}).chapter == "geometry"


def test_the_ledger_covers_the_paper():
    entries = claims.ledger().values()
    assert len(entries) >= 60
    places = {SECTION.fullmatch(entry.section)["place"] for entry in entries}
    assert places >= {
        "1.1",
        "1.3",
        "1.4",
        "1.5",
        "1.6",
        "1.7",
        "2.1",
        "2.2",
        "2.3",
        "3.2",
        "3.3",
        "3.4",
        "3.5",
    }
    assert "A1" in places


def test_entries_stand_in_the_file_of_their_section():
    for path in (resources.files("emolib") / "paper" / "claims").iterdir():
        number = path.name.split("_")[0]
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            place = SECTION.fullmatch(entry["section"])["place"]
            assert place == "Discussion" or place.replace(".", "").lower() == number, entry["id"]


def test_an_entry_names_a_chapter_that_exists_or_says_briefly_what_is_missing():
    modules = {path.name for path in (resources.files("emolib") / "experiments").iterdir()}
    tested = [entry for entry in claims.ledger().values() if entry.chapter]
    untested = [entry for entry in claims.ledger().values() if entry.missing]
    assert tested
    assert {f"{entry.chapter}.py" for entry in tested} <= modules
    assert {entry.id for entry in (*tested, *untested)} == set(claims.ledger())
    assert {entry.chapter for entry in tested if entry.missing} <= set(study.WITH_STAGES)
    assert [entry.id for entry in untested if not 10 <= len(entry.missing) <= 100] == []


def test_pairs_of_models_are_measured_alike():
    ledger = claims.ledger()
    for ids in (
        ["composed.arousal_down", "exuberant.arousal_up", "placebo.arousal_flat"],
        ["composed.calm_up", "exuberant.calm_down"],
        [f"{pair}.shift_consistency_r" for pair in ("natural", "composed", "exuberant")],
    ):
        assert len({ledger[f"posttraining.{each}"].measure for each in ids}) == 1


def test_tables_of_the_paper_name_the_171_emotions():
    names = {emotion.emotion for emotion in Corpus().emotions}
    assert set(paper.posttraining_shift().index) == names
    readings = paper.scenario_readings()
    assert list(readings.index) == list(readings.columns) == list(paper.raised_tokens())
    for part in (readings.index, paper.preference_correlations().index, paper.severity_curves().emotion):
        assert set(part) <= names


def written(claim_id: str) -> float:
    return claims.ledger()[claim_id].paper


def test_severity_signs_are_those_of_the_papers_curves():
    """Spearman's sign, except for the one curve that is flat where the text says that it falls."""
    curves = paper.severity_curves().replace({"family": {"sister": "sibling"}})
    entries = [entry for entry in claims.ledger().values() if entry.id.startswith("severity.")]
    assert len(entries) == 12
    for entry in entries:
        _, family, emotion = entry.id.split(".")
        curve = curves[(curves.family == family) & (curves.emotion == emotion)]
        assert len(curve) >= 4
        rising = stats.spearmanr(curve.value, curve.reading).statistic * entry.rule.sign
        assert rising > 0.7 or ("flat in the figure" in entry.paper_says and np.ptp(curve.reading) < 0.01)
        said = [float(number) for number in re.findall(r"-?\.\d+", entry.paper_says)]
        assert said == pytest.approx([curve.reading.iloc[0], curve.reading.iloc[-1]], abs=0.0006), entry.id


def test_scenario_numbers_are_those_of_the_papers_matrix():
    cosines = paper.scenario_readings().to_numpy()
    own = np.diag(cosines)
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    by_scenario = stats.rankdata(-cosines, axis=0).diagonal()
    by_vector = stats.rankdata(-cosines, axis=1).diagonal()
    centred = cosines - cosines.mean(axis=1, keepdims=True)
    assert written("scenarios.diagonal_excess") == pytest.approx(own.mean() - others.mean(), abs=0.0005)
    assert written("scenarios.best_scenario") == pytest.approx(np.mean(by_vector == 1), abs=0.005)
    assert written("scenarios.best_vector") == pytest.approx(np.mean(by_scenario == 1), abs=0.005)
    assert written("scenarios.best_scenario_percentile") == pytest.approx(
        (12 - by_vector.mean()) / 11, abs=0.005
    )
    assert written("scenarios.best_vector_percentile") == pytest.approx(
        (12 - by_scenario.mean()) / 11, abs=0.005
    )
    assert written("scenarios.best_vector_centred") == pytest.approx(
        np.mean(centred.argmax(axis=0) == np.arange(12)), abs=0.005
    )


def test_logit_lens_number_is_that_of_the_papers_table():
    raised = paper.raised_tokens()
    found = [any(token.lower().startswith(word[:4]) for token in raised[word]) for word in raised]
    assert {len(tokens) for tokens in raised.values()} == {5}
    assert written("logit_lens.own_word_top5") == pytest.approx(np.mean(found), abs=0.005)


def test_preference_numbers_are_those_of_the_papers_figure():
    """Every fifth probe is labelled there, so the share is known to a few hundredths."""
    labelled = paper.preference_correlations()
    assert written("preferences.share_predictive") == pytest.approx((labelled.abs() > 0.3).mean(), abs=0.05)
    assert written("preferences.probe_r.blissful") == labelled["blissful"]
    assert written("preferences.probe_r.hostile") == pytest.approx(labelled["hostile"], abs=0.015)
    assert written("preferences.probe_r.max_abs") == pytest.approx(labelled.abs().max(), abs=0.015)


def test_posttraining_numbers_are_those_of_the_papers_table():
    shift = paper.posttraining_shift()
    np.testing.assert_allclose(shift.base + shift["diff"], shift.post, atol=2e-4)
    rated = shift.join(paper.human_ratings(), how="inner")
    assert len(rated) == 44
    valence = stats.pearsonr(rated["diff"], rated.pleasure)
    assert written("posttraining.natural.shift_vs_valence_r") == pytest.approx(valence.statistic, abs=0.005)
    assert valence.pvalue > 0.05, "the entry says that it is inside the null band"
    arousal = stats.pearsonr(rated["diff"], rated.arousal)
    assert written("posttraining.natural.shift_vs_arousal_r") == pytest.approx(arousal.statistic, abs=0.005)
    ranked = list(shift["diff"].sort_values(ascending=False).index)
    said = claims.ledger()["posttraining.natural.paper_rank_r"].paper_says
    assert ", ".join(ranked[:2]) in said
    assert ranked[2] == "reflective"
    assert f"{ranked[-1]}, {ranked[-2]}, {ranked[-3]}" in said
