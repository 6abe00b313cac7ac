"""Intervals and nulls: what stands beside every number.

Everything random takes a NumPy generator, so that a seed decides the outcome.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from emolib.vectors import unit

LEVEL = 0.95


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation of two samples of equal length."""
    return float(stats.pearsonr(x, y).statistic)


def pearson_interval(
    x: np.ndarray, y: np.ndarray, n_draws: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile bootstrap interval of a correlation, resampling the pairs."""
    result = stats.bootstrap(
        (np.asarray(x), np.asarray(y)),
        lambda a, b, axis=-1: stats.pearsonr(a, b, axis=axis).statistic,
        paired=True,
        vectorized=True,
        n_resamples=n_draws,
        confidence_level=LEVEL,
        method="percentile",
        rng=rng,
    )
    return _pair(result.confidence_interval)


def mean_interval(values: np.ndarray, n_draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean, resampling the values."""
    values = np.asarray(values, dtype=float)
    result = stats.bootstrap(
        (values,), np.mean, n_resamples=n_draws, confidence_level=LEVEL, method="percentile", rng=rng
    )
    return _pair(result.confidence_interval)


def mean_t_interval(values: np.ndarray) -> tuple[float, float]:
    """Student's interval of a mean: for a handful of values, where the bootstrap is too narrow."""
    return _pair(stats.ttest_1samp(values, 0).confidence_interval(LEVEL))


def half_sample_interval(
    statistic: Callable[[np.ndarray], float],
    estimate: float,
    n_items: int,
    n_draws: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Delete-half jackknife interval, for statistics that repeated items would distort.

    `statistic` receives the indices of a random half of the items. The spread over halves estimates
    the standard error of the whole sample, because a half is missing as many items as it has.
    """
    halves = [statistic(np.sort(rng.choice(n_items, n_items // 2, replace=False))) for _ in range(n_draws)]
    reach = stats.norm.ppf((1 + LEVEL) / 2) * np.std(halves, ddof=1)
    return float(estimate - reach), float(estimate + reach)


def permuted_correlations(x: np.ndarray, y: np.ndarray, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Correlations of x with shuffled copies of y, (n_draws,)."""
    shuffled = rng.permuted(np.tile(np.asarray(y, dtype=float), (n_draws, 1)), axis=1)
    return stats.pearsonr(np.asarray(x, dtype=float)[None], shuffled, axis=1).statistic


def random_directions(vectors: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors drawn at random from the span of `vectors`, (n, width).

    Each is a Gaussian mixture of the unit-normalised vectors: a direction made of the same stuff as
    an emotion vector that stands for no emotion.
    """
    weights = rng.standard_normal((n, len(vectors)))
    return unit(weights @ unit(vectors))


def band(null: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of null draws (along the first axis)."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(null, [tail, 1 - tail], axis=0)
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)


def p_two_sided(estimate: float, null: np.ndarray) -> float:
    """Share of null draws at least as far from the null's mean, counting the estimate itself."""
    centre = np.mean(null)
    beyond = np.sum(np.abs(null - centre) >= abs(estimate - centre))
    return float((beyond + 1) / (len(null) + 1))


def slopes(readings: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares slope of the readings over the values along the last axis, (…,)."""
    centred = np.asarray(values, dtype=float) - np.mean(values)
    return readings @ centred / np.sum(centred**2)


def _pair(interval) -> tuple[float, float]:
    return float(interval.low), float(interval.high)
