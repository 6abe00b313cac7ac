"""Simulated activations whose truth is known, to try the methods on.

A world has emotion words with a place in a low-dimensional space (pleasure and arousal as people rate
them, groups of words, and what is a word's own), and texts whose state is that place on hidden axes,
times an effect, behind noise. The noise of a text has a total variance of one and falls off over
directions as 1/k, which gives about thirty effective dimensions in a width of 576; `effect` is the
standard deviation between emotions in that unit. All states share a long constant part with two massive
dimensions, as residual streams do. Only NumPy and pandas.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

WIDTH = 576
N_TOPICS = 12
N_NEUTRAL = 150
# Shares of the variance between emotions: pleasure, arousal, group of words, the word's own.
FEELING = (0.18, 0.13, 0.3, 0.39)
NO_FEELING = (0.0, 0.0, 0.43, 0.57)
N_OWN = 40
N_STYLES = 3
TOPIC_SD = 0.15
# The constant part is this many times as long as a text's noise, nearly all of it in two dimensions.
ORIGIN = 8.0


@dataclass(frozen=True)
class EmotionSpace:
    """Where emotions lie: `latents` (n_emotions, k) of total variance one on orthonormal `axes` (k, width).

    The first two columns are pleasure and arousal. `styles` (n_styles, width) are directions of how a text
    is written, orthogonal to the axes.
    """

    names: tuple[str, ...]
    latents: np.ndarray
    axes: np.ndarray
    styles: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The true place of every emotion in the residual stream, (n_emotions, width)."""
        return self.latents @ self.axes


@dataclass(frozen=True)
class Texts:
    """Simulated stories (n_stories, 1, width) with emotion and topic, and neutral chats (n, 1, width)."""

    stories: np.ndarray
    emotions: list[str]
    topics: list[str]
    neutral: np.ndarray


def emotion_space(
    names: Sequence[str],
    ratings: pd.DataFrame,
    groups: dict[str, str],
    rng: np.random.Generator,
    shares: Sequence[float] = FEELING,
    width: int = WIDTH,
) -> EmotionSpace:
    """A space for these words, with the shares of variance given.

    `ratings` has pleasure and arousal of some words; another word takes the ratings of a rated word of
    its group, or of any where its group has none. `groups` names the group of every word.
    """
    kinds = sorted(set(groups.values()))
    group = np.array([kinds.index(groups[name]) for name in names])
    rated = ratings.reindex(names)[["pleasure", "arousal"]].to_numpy(dtype=float)
    known = np.isfinite(rated[:, 0])
    for i in np.flatnonzero(~known):
        same = np.flatnonzero(known & (group == group[i]))
        rated[i] = rated[rng.choice(same if len(same) else np.flatnonzero(known))]
    parts = (
        rated[:, :1],
        rated[:, 1:],
        rng.standard_normal((len(kinds), len(kinds)))[group],
        rng.standard_normal((len(names), N_OWN)) * spectrum(N_OWN),
    )
    latents = np.hstack([np.sqrt(share) * _standard(part) for share, part in zip(shares, parts, strict=True)])
    basis = np.linalg.qr(rng.standard_normal((width, latents.shape[1] + N_STYLES)))[0].T
    n = latents.shape[1]
    return EmotionSpace(tuple(names), latents, basis[:n], basis[n:])


def read_stories(
    space: EmotionSpace,
    effect: float,
    rng: np.random.Generator,
    lengths: float = 0.0,
    style: float = 0.0,
    style_in_chats: float = 1.0,
) -> Texts:
    """One story for every emotion and topic, and neutral chats.

    `lengths` is the standard deviation of the log length of the emotions' true vectors; `style` that of
    an emotion's way of being written, along the directions in which neutral chats differ most, and
    `style_in_chats` their variance among the chats: with 1 they hold half of it.
    """
    n, width = space.means.shape
    means = effect * space.means * np.exp(lengths * rng.standard_normal((n, 1)))
    means = means + style * rng.standard_normal((n, N_STYLES)) @ space.styles / np.sqrt(N_STYLES)
    topics = TOPIC_SD * noise(N_TOPICS, width, rng)
    stories = (
        origin(width) + means[None] + topics[:, None] + noise(N_TOPICS * n, width, rng).reshape(-1, n, width)
    )
    written = np.sqrt(style_in_chats / N_STYLES) * rng.standard_normal((N_NEUTRAL, N_STYLES))
    chats = noise(N_NEUTRAL, width, rng) + written @ space.styles
    return Texts(
        stories=stories.reshape(-1, 1, width).astype(np.float32),
        emotions=[name for _ in range(N_TOPICS) for name in space.names],
        topics=[f"topic {t}" for t in range(N_TOPICS) for _ in space.names],
        neutral=(origin(width) + chats)[:, None].astype(np.float32),
    )


def read_scenarios(
    space: EmotionSpace, members: Sequence[int], effect: float, rng: np.random.Generator
) -> np.ndarray:
    """One further text for each of these emotions, (n_members, width)."""
    width = space.axes.shape[1]
    return origin(width) + effect * space.means[list(members)] + noise(len(members), width, rng)


def read_activities(
    space: EmotionSpace, follows: float, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """States of activities (n, 1, width), and how much each is liked (n,).

    `follows` is how far the state moves along the axis of pleasure with one standard deviation of liking,
    in standard deviations of the mean direction's noise.
    """
    width = space.axes.shape[1]
    liking = rng.standard_normal(n)
    moved = follows / np.sqrt(width) * liking[:, None] * space.axes[0]
    return (origin(width) + moved + noise(n, width, rng))[:, None], liking


def origin(width: int) -> np.ndarray:
    """The part that all states share, (width,): two massive dimensions, and a little everywhere."""
    shared = np.full(width, 0.05)
    shared[[-1, -2]] = -0.7, 0.7
    return ORIGIN * shared / np.linalg.norm(shared)


def noise(n: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """What tells texts of one emotion apart, (n, width), total variance one."""
    return rng.standard_normal((n, width), dtype=np.float32) * spectrum(width).astype(np.float32)


def spectrum(width: int) -> np.ndarray:
    """Standard deviations of the directions, (width,): variances fall as 1/k and sum to one."""
    variances = 1 / np.arange(1, width + 1)
    return np.sqrt(variances / variances.sum())


def _standard(part: np.ndarray) -> np.ndarray:
    """Columns centred, total variance one."""
    centred = part - part.mean(axis=0)
    return centred / np.sqrt(np.mean(np.sum(centred**2, axis=1)))
