"""Verdicts are computed from the rule, the evidence and nothing else."""

import pytest

from emolib import claims
from emolib.claims import Control, Evidence, Null
from emolib.errors import EmolibError


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
    with pytest.raises(ValueError, match="either the chapter"):
        claims.Entry(**{**entry, "chapter": None})
    with pytest.raises(ValueError, match="either the chapter"):
        claims.Entry(**{**entry, "missing": "a larger model"})


def test_headline_claims_are_in_the_ledger():
    assert set(claims.ledger()) >= {
        "geometry.pc1_pleasure_r",
        "geometry.pc2_arousal_r",
        "geometry.pc1_variance",
        "geometry.cluster_ari",
        "geometry.layer_similarity_min",
        "severity.tylenol.afraid",
        "severity.tylenol.calm",
    }
