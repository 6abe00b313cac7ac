"""Intervals and nulls against closed forms and scipy's own distributions."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from emolib import stats


def rng(seed=0):
    return np.random.default_rng(seed)


def test_mean_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        low, high = stats.mean_interval(rng(seed).normal(3, 1, 40), 500, rng(seed + 1000))
        covered += low <= 3 <= high
    # Binomial(200, .95) stays above 180 with probability .998.
    assert covered >= 180


def test_correlation_interval_is_near_fishers():
    x = rng(1).normal(size=400)
    y = 0.6 * x + 0.8 * rng(2).normal(size=400)
    r = stats.pearson(x, y)
    fisher = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.96 / np.sqrt(397))
    np.testing.assert_allclose(stats.pearson_interval(x, y, 4000, rng(3)), fisher, atol=0.02)


def test_half_sample_interval_of_a_mean_is_the_textbook_one():
    values = rng(4).normal(size=120)
    low, high = stats.half_sample_interval(lambda m: values[m].mean(), values.mean(), 120, 4000, rng(5))
    half_width = 1.96 * values.std(ddof=1) / np.sqrt(120)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.05)
    assert (high + low) / 2 == pytest.approx(values.mean())


def test_shuffled_correlations_follow_the_null_distribution():
    x, y = rng(6).normal(size=44), rng(7).normal(size=44)
    null = stats.permuted_correlations(x, y, 5000, rng(8))
    expected = scipy_stats.t(42).ppf(0.975)
    expected = expected / np.sqrt(42 + expected**2)
    low, high = stats.band(null)
    assert high == pytest.approx(expected, abs=0.02)
    assert low == pytest.approx(-expected, abs=0.02)


def test_two_sided_p_is_uniform_under_the_null():
    null = rng(9).normal(size=999)
    p = [stats.p_two_sided(value, null) for value in rng(10).normal(size=2000)]
    assert scipy_stats.kstest(p, "uniform").statistic < 0.05
    assert stats.p_two_sided(50.0, null) == pytest.approx(1 / 1000)


def test_random_directions_are_unit_length_and_stay_in_the_span():
    vectors = np.zeros((5, 9))
    vectors[:, :3] = rng(11).normal(size=(5, 3))
    drawn = stats.random_directions(vectors, 200, rng(12))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    np.testing.assert_array_equal(drawn[:, 3:], 0)
    assert abs(drawn.mean()) < 0.05


def test_slope_of_a_line_is_its_slope():
    values = np.log2([2, 4, 8, 12, 20, 30, 60])
    lines = np.array([[0.5], [-2.0]]) * values + np.array([[3.0], [1.0]])
    np.testing.assert_allclose(stats.slopes(lines, values), [0.5, -2.0])
    noisy = lines + rng(13).normal(size=lines.shape)
    expected = [scipy_stats.linregress(values, row).slope for row in noisy]
    np.testing.assert_allclose(stats.slopes(noisy, values), expected)
