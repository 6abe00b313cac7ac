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
    assert listed[0].verdict == "replicated"
    assert {claim.verdict for claim in listed[1:]} == {"not run"}
    assert {claim.estimate for claim in listed[1:]} == {None}


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
