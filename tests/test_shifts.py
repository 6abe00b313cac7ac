"""Shifts between two models, on cosines whose shift is known."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_scale
from scipy import stats as scipy_stats

from emolib import paper
from emolib.errors import EmolibError
from emolib.experiments import shifts

SCALE = small_scale(n_null=100, n_bootstrap=100)
QUICK = small_scale(n_null=60, n_bootstrap=20)
PAPER = paper.posttraining_shift()["diff"]
RATINGS = paper.human_ratings()
NAMES = list(PAPER.index)
CHALLENGING = np.arange(120) >= 40


def messages(rng, spread=0.1) -> np.ndarray:
    """Cosines of 120 messages with 171 emotions: what all have in common, and each its own."""
    return 0.1 * rng.standard_normal(len(NAMES)) + spread * rng.standard_normal((120, len(NAMES)))


def agreement(before, after, scale=SCALE, **changed) -> dict[str, shifts.Measured]:
    given = {"challenging": CHALLENGING, "names": NAMES, "ratings": RATINGS, "paper": PAPER, **changed}
    return shifts.agreement(before, after, **given, scale=scale, rng=np.random.default_rng(1))


def test_the_papers_own_shift_is_found_again_in_every_measure():
    """After = before + the paper's shift: each measure is what the paper's table gives."""
    before = messages(np.random.default_rng(0))
    found = agreement(before, before + PAPER.to_numpy())
    assert list(found) == list(shifts.MEASURES)
    assert found["shift_consistency_r"].estimate == pytest.approx(1)
    assert found["paper_rank_r"].estimate == pytest.approx(1, abs=1e-3)  # it has ties
    assert found["shift_larger_under_strain"].estimate == pytest.approx(0, abs=1e-12)
    rated = pd.concat([PAPER, RATINGS], axis=1, join="inner")
    assert found["shift_vs_valence_r"].estimate == pytest.approx(rated["diff"].corr(rated.pleasure))
    assert found["shift_vs_arousal_r"].estimate == pytest.approx(rated["diff"].corr(rated.arousal))
    mean = before[~CHALLENGING].mean(axis=0)
    by_hand = np.corrcoef(mean, mean + PAPER)[0, 1]
    assert found["neutral_r"].estimate == pytest.approx(by_hand)
    assert {name: each.n for name, each in found.items()} == {
        "neutral_r": 40,
        "challenging_r": 80,
        "shift_consistency_r": 120,
        "shift_larger_under_strain": 120,
        "shift_vs_valence_r": 44,
        "shift_vs_arousal_r": 44,
        "paper_rank_r": 120,
    }


def test_the_order_of_the_emotions_does_not_matter():
    rng = np.random.default_rng(0)
    before = messages(rng)
    after = before + PAPER.to_numpy() + 0.02 * rng.standard_normal(before.shape)
    order = rng.permutation(len(NAMES))
    turned = agreement(before[:, order], after[:, order], names=[NAMES[i] for i in order])
    for name, each in agreement(before, after).items():
        assert turned[name].estimate == pytest.approx(each.estimate), name
        assert turned[name].ci == pytest.approx(each.ci, abs=0.3), name


def test_rank_correlation_is_scipys_and_blind_to_size():
    rng = np.random.default_rng(3)
    before = messages(rng)
    shift = PAPER.to_numpy() + 0.02 * rng.standard_normal(len(NAMES))
    found = agreement(before, before + np.exp(40 * shift))["paper_rank_r"]
    assert found.estimate == pytest.approx(scipy_stats.spearmanr(shift, PAPER).statistic)
    assert 0.3 < found.estimate < 0.9


def test_nothing_but_noise_stays_inside_its_nulls():
    """Over 30 pairs that differ in noise only, about one p in twenty is below .05."""
    small = {name: [] for name in shifts.MEASURES if name not in ("neutral_r", "challenging_r")}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        before = messages(rng)
        found = agreement(before, before + 0.05 * rng.standard_normal(before.shape), QUICK)
        for name, ps in small.items():
            ps.append(found[name].null.p)
    for name, ps in small.items():
        assert np.mean(np.array(ps) < 0.05) < 0.25, name
        assert 0.25 < np.mean(ps) < 0.75, name


@pytest.mark.parametrize(("factor", "sign"), [(2.0, 1), (0.5, -1)])
def test_shifts_that_grow_under_strain_are_told_from_those_that_shrink(factor, sign):
    rng = np.random.default_rng(0)
    before = messages(rng)
    size = np.where(CHALLENGING, factor, 1.0)[:, None]
    found = agreement(before, before + size * PAPER.to_numpy())["shift_larger_under_strain"]
    assert found.estimate == pytest.approx((factor - 1) * PAPER.std(ddof=0))
    assert sign * found.estimate > max(sign * found.null.low, sign * found.null.high)
    assert min(sign * bound for bound in found.ci) > 0


def test_intervals_over_messages_hold_the_truth():
    """Messages drawn 30 times from one population: about 95 % of the intervals hold its correlation."""
    rng = np.random.default_rng(0)
    common, shift = 0.1 * rng.standard_normal((2, len(NAMES)))
    truth = np.corrcoef(common, common + shift)[0, 1]
    held = 0
    for _ in range(30):
        before = common + 0.02 * rng.standard_normal((120, len(NAMES)))
        after = common + shift + 0.02 * rng.standard_normal((120, len(NAMES)))
        low, high = agreement(before, after, QUICK)["challenging_r"].ci
        held += low <= truth <= high
        assert high - low < 0.1
    assert held >= 24


def test_layers_that_shift_alike_are_told_from_those_that_do_not():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, len(NAMES)))
    before = rng.standard_normal((120, 4, len(NAMES)))
    after = before + np.stack([one, 3 * one, -one, other])
    table = shifts.between_layers(before, after, [2, 5, 7, 9], training="x")
    assert set(table.training) == {"x"}
    r = table.pivot(index="layer", columns="other", values="r")
    assert list(r.index) == list(r.columns) == [2, 5, 7, 9]
    np.testing.assert_allclose(r.to_numpy()[:3, :3], np.outer([1, 1, -1], [1, 1, -1]), atol=1e-9)
    assert abs(r.loc[2, 9]) < 0.25


def test_a_planted_rotation_is_measured():
    """Vectors turned by a known angle in a plane of their own have its cosine, whatever their length."""
    rng = np.random.default_rng(0)
    angles = np.array([[0.0, 0.3, 1.2], [0.1, np.pi / 2, np.pi]])  # two emotions, three layers
    before = np.zeros((2, 3, 8))
    after = rng.uniform(1, 9, (2, 3, 1)) * np.ones(8)
    before[..., 4] = 7.0
    length = after[..., :1].copy()
    after[...] = 0
    after[..., 4], after[..., 5] = (length[..., 0] * turn(angles) for turn in (np.cos, np.sin))
    np.testing.assert_allclose(shifts.rotation(before, after), np.cos(angles).T, atol=1e-12)


def test_table_has_a_row_per_measure_with_its_labels():
    before = messages(np.random.default_rng(0))
    found = agreement(before, before + PAPER.to_numpy())
    made = shifts.table(found, stage="base", format="plain")
    assert list(made.columns) == [
        "stage", "format", "measure", "estimate", "low", "high", "null_low", "null_high", "n",
    ]  # fmt: skip
    assert list(made.measure) == list(shifts.MEASURES)
    assert set(made.stage) == {"base"}
    row = made.set_index("measure").loc["neutral_r"]
    assert (row.low, row.high) == found["neutral_r"].ci
    assert row.null_high == found["neutral_r"].null.high


def test_what_cannot_be_measured_is_refused():
    before = messages(np.random.default_rng(0))
    with pytest.raises(EmolibError, match="read the same everywhere"):
        agreement(before, before)
    with pytest.raises(EmolibError, match="117 challenging messages and 3 neutral ones; at least 20"):
        agreement(before, before + PAPER.to_numpy(), challenging=np.arange(120) >= 3)
    with pytest.raises(EmolibError, match="of 171 emotions 44 are rated and 2 in the paper's table"):
        agreement(before, before + PAPER.to_numpy(), paper=PAPER[:2])
