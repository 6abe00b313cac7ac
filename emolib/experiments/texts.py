"""What the texts are like before any model reads them, and how steady the vectors made from them are.

Surface: a classifier that sees a story's length, person, tense and punctuation, and no words, should
find nothing. Content: one that sees the words of eleven topics should find the feeling on the
twelfth. Both leave one topic out in turn. Likeness between texts is measured exactly, as the share of
three-word runs that two texts have in common (Jaccard), and by the model's own reading of them.
Reliability is the mean cosine of an emotion's vectors from two halves of the texts, stepped up to all
of them by the Spearman–Brown formula.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats as tests
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emolib import paper, stats
from emolib.corpus import checks
from emolib.corpus.schema.record import Record
from emolib.corpus.schema.stories import Story
from emolib.corpus.sets import SCENARIO_EMOTIONS, SETS
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import principal_components, project_out, unit

MARKS = tuple('.,;:?!"-—')
N_SAMPLE = 60
N_LIKE = 5
RUN = 3
N_HALVES = 100
VALENCE_FOLDS = 4


@dataclass(frozen=True)
class Readings:
    """States of one text set at one layer, (n_texts, width), with the two emotions of each text.

    `own` is the emotion that a vector is made for, `other` the one that stands beside it in the same
    text. Every ordered pair occurs equally often, so that the effects of both can be told apart.
    """

    vectors: str
    states: np.ndarray
    own: Sequence[str]
    other: Sequence[str]


def run(
    sets: Mapping[str, tuple[Record, ...]],
    states: np.ndarray,
    stories: tuple[Story, ...],
    pairs: Sequence[Readings],
    neutral: np.ndarray,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables.

    `sets` holds every text set by its name; `states` (n_stories, width) are the `stories` as read at
    one layer; `neutral` (n_chats, width) are the neutral chats there.
    """
    rngs = iter(np.random.default_rng(seed).spawn(4))
    tables = {
        "sets": _set_table(sets),
        "features": _feature_table(stories),
        "alike": _alike_table(sets),
        "alike_to_the_model": _alike_to_the_model(stories, states),
        "reliability": _reliability_table(pairs, neutral, next(rngs)),
        "sample": _sample(stories, next(rngs)),
    }
    if len({story.topic for story in stories}) > 1:
        tables["surface"] = _surface_table(stories, scale, next(rngs))
        tables["content"] = _content_table(stories, scale, next(rngs))
    return Outcome(tables)


def features(story: Story) -> dict[str, float]:
    """What can be counted in a story without understanding a word of it.

    Reading level is the automated readability index (Senter and Smith 1967) in school years.
    """
    said = checks.words(story.text)
    marks = {f"mark {mark}": story.text.count(mark) for mark in MARKS}
    sentences = sum(story.text.count(mark) for mark in ".?!")
    letters = sum(map(len, said)) / len(said)
    return {
        "words": len(said),
        "first person": story.person == "first",
        "past tense": story.tense == "past",
        **marks,
        "reading level": 4.71 * letters + 0.5 * len(said) / sentences - 21.43,
    }


def _set_table(sets: Mapping[str, tuple[Record, ...]]) -> pd.DataFrame:
    """One row per set: records, words in all, median words of a record, the paper's section, what for."""
    rows = []
    for name, records in sets.items():
        lengths = [sum(len(checks.words(text)) for text in record.texts()) for record in records]
        rows.append(
            {
                "set": name,
                "records": len(records),
                "words": sum(lengths),
                "median_words": int(np.median(lengths)),
                "paper_section": SETS[name].section,
                "purpose": SETS[name].purpose,
            }
        )
    return pd.DataFrame(rows)


def _feature_table(stories: tuple[Story, ...]) -> pd.DataFrame:
    """Per feature: mean, spread of the emotions' means, and an analysis of variance over emotions."""
    table = pd.DataFrame([features(story) for story in stories]).astype(float)
    labels = np.array([story.emotion for story in stories])
    rows = []
    for name, values in table.items():
        groups = [values[labels == emotion] for emotion in np.unique(labels)]
        varies = len(stories) > len(groups) and values.std() > 0 and max(g.std() for g in groups) > 0
        found = tests.f_oneway(*groups) if varies else None
        rows.append(
            {
                "feature": name,
                "mean": values.mean(),
                "sd": values.std(),
                "sd_of_emotion_means": float(np.std([g.mean() for g in groups])),
                "F": found.statistic if found else np.nan,
                "p": found.pvalue if found else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _surface_table(stories: tuple[Story, ...], scale: Scale, rng) -> pd.DataFrame:
    """Stories whose emotion is found without their words: length, person, tense and punctuation.

    The null deals the emotions of a left-out topic at random among its stories. One row per set of
    features and number of emotions told apart.
    """
    table = pd.DataFrame([features(story) for story in stories]).astype(float)
    table = table.drop(columns="reading level")
    labels, topics = _labels(stories)
    rows = []
    for kind, columns in {
        "length, person, tense": ["words", "first person", "past tense"],
        "length, person, tense, punctuation": list(table.columns),
    }.items():
        for n_emotions, members in _choices(labels).items():
            guess = _left_out(
                make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
                table.loc[members, columns].to_numpy(),
                labels[members],
                topics[members],
            )
            rows.append({"sees": kind, **_found(guess, labels[members], topics[members], scale, rng)})
            rows[-1]["of"] = n_emotions
    return pd.DataFrame(rows)


def _content_table(stories: tuple[Story, ...], scale: Scale, rng) -> pd.DataFrame:
    """Stories whose emotion or valence is found from their words, on a topic not seen before."""
    texts = np.array([story.text for story in stories])
    labels, topics = _labels(stories)
    rows = []
    for n_emotions, members in _choices(labels).items():
        guess = _left_out(_bag_of_words(), texts[members], labels[members], topics[members])
        found = _found(guess, labels[members], topics[members], scale, rng)
        rows.append({"finds": f"emotion, {n_emotions} words", "of": n_emotions, **found})
    ratings = paper.human_ratings().pleasure
    members = np.isin(labels, ratings.index)
    pleasant = np.where(ratings.loc[labels[members]].to_numpy() > 0, "pleasant", "unpleasant")
    guess = _left_out(_bag_of_words(), texts[members], pleasant, topics[members])
    found = _found(guess, pleasant, topics[members], scale, rng)
    rows.append({"finds": "valence, emotion seen on other topics", "of": 2, **found})
    guess = _unseen_emotions(texts[members], pleasant, topics[members], labels[members], rng)
    found = _found(guess, pleasant, topics[members], scale, rng)
    rows.append({"finds": "valence, emotion never seen", "of": 2, **found})
    return pd.DataFrame(rows)


def _unseen_emotions(texts, pleasant, topics, labels, rng) -> np.ndarray:
    """Guesses where neither the story's topic nor its emotion was in the training stories."""
    guess = np.empty(len(texts), dtype=pleasant.dtype)
    names = rng.permutation(np.unique(labels))
    for fold in range(VALENCE_FOLDS):
        held = np.isin(labels, names[fold::VALENCE_FOLDS])
        for topic in np.unique(topics):
            out = held & (topics == topic)
            model = _bag_of_words().fit(texts[~held & (topics != topic)], pleasant[~held & (topics != topic)])
            guess[out] = model.predict(texts[out])
    return guess


def _bag_of_words():
    return make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), LogisticRegression(C=10, max_iter=500))


def _labels(stories) -> tuple[np.ndarray, np.ndarray]:
    return np.array([story.emotion for story in stories]), np.array([story.topic for story in stories])


def _choices(labels: np.ndarray) -> dict[int, np.ndarray]:
    """All emotions, and the paper's twelve."""
    return {
        len(np.unique(labels)): np.ones(len(labels), dtype=bool),
        len(SCENARIO_EMOTIONS): np.isin(labels, SCENARIO_EMOTIONS),
    }


def _left_out(model, inputs, labels, topics) -> np.ndarray:
    with warnings.catch_warnings():
        # A smoke run leaves one story per emotion to learn from, which scikit-learn finds odd.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        return cross_val_predict(model, inputs, labels, groups=topics, cv=LeaveOneGroupOut())


def _found(guess, labels, topics, scale: Scale, rng) -> dict[str, float]:
    """Share of right guesses, and the same with the labels dealt anew within every topic."""
    null = np.zeros(scale.n_null)
    for topic in np.unique(topics):
        members = topics == topic
        dealt = rng.permuted(np.tile(labels[members], (scale.n_null, 1)), axis=1)
        null += (dealt == guess[members]).sum(axis=1)
    low, high = stats.band(null / len(labels))
    found = float(np.mean(guess == labels))
    return {"n": len(labels), "found": found, "null_low": low, "null_high": high}


def _alike_table(sets: Mapping[str, tuple[Record, ...]]) -> pd.DataFrame:
    """The most alike pairs of every set whose texts must stand apart: shared three-word runs."""
    rows = []
    for name, records in sets.items():
        if not SETS[name].apart or len(records) < 2:
            continue
        likeness = shared_runs([" ".join(record.texts()) for record in records])
        for i, j in _highest(likeness, N_LIKE):
            rows.append(
                {"set": name, "a": records[i].name, "b": records[j].name, "jaccard": float(likeness[i, j])}
            )
    return pd.DataFrame(rows)


def shared_runs(texts: Sequence[str]) -> np.ndarray:
    """Jaccard likeness of the sets of three-word runs of any two texts, (n, n), zero on the diagonal."""
    count = CountVectorizer(analyzer=_runs, binary=True, dtype=np.int32)
    present = count.fit_transform(texts)
    common = (present @ present.T).toarray().astype(float)
    sizes = np.diag(common).copy()
    either = sizes[:, None] + sizes[None] - common
    likeness = np.divide(common, either, out=np.zeros_like(common), where=either > 0)
    np.fill_diagonal(likeness, 0)
    return likeness


def _runs(text: str) -> list[tuple[str, ...]]:
    said = checks.words(text)
    return list(zip(*(said[i:] for i in range(RUN)), strict=False))


def _alike_to_the_model(stories: tuple[Story, ...], states: np.ndarray) -> pd.DataFrame:
    """The pairs of stories that the model reads most alike, beside the words that they share."""
    centred = unit(states - states.mean(axis=0))
    likeness = centred @ centred.T
    np.fill_diagonal(likeness, -1)
    shared = shared_runs([story.text for story in stories])
    return pd.DataFrame(
        [
            {
                "a": stories[i].id,
                "b": stories[j].id,
                "cosine": float(likeness[i, j]),
                "jaccard": float(shared[i, j]),
            }
            for i, j in _highest(likeness, 2 * N_LIKE)
        ]
    )


def _highest(likeness: np.ndarray, n: int) -> list[tuple[int, int]]:
    upper = np.where(np.triu(np.ones_like(likeness, dtype=bool), 1), likeness, -np.inf)
    order = np.argsort(-upper, axis=None, kind="stable")[: min(n, len(likeness) * (len(likeness) - 1) // 2)]
    return [(int(k // len(likeness)), int(k % len(likeness))) for k in order]


def _reliability_table(pairs: Sequence[Readings], neutral: np.ndarray, rng) -> pd.DataFrame:
    """Split-half reliability of the vectors from each set of paired texts."""
    basis = principal_components(neutral, 0.5)
    rows = []
    for each in pairs:
        halves = [_half_cosine(each, basis, rng) for _ in range(N_HALVES)]
        half = float(np.mean(halves))
        rows.append(
            {
                "vectors": each.vectors,
                "texts": len(each.own),
                "emotions": len(set(each.own)),
                "half_cosine": half,
                "reliability": stepped_up(half),
                "texts_for_0.8": _texts_needed(stepped_up(half), len(each.own)),
            }
        )
    return pd.DataFrame(rows)


def effects(states: np.ndarray, own: Sequence[str], other: Sequence[str]) -> np.ndarray:
    """Effect of each own emotion beside that of the other one: least squares, (n_emotions, width).

    A plain mean over texts would not do: the other emotion is never the same as the own one, so
    every mean of others lacks its own emotion and points away from it.
    """
    names = np.unique(own)
    design = np.hstack([np.equal.outer(np.asarray(own), names), np.equal.outer(np.asarray(other), names)])
    found = np.linalg.lstsq(design.astype(float), states.astype(float))[0][: len(names)]
    return found - found.mean(axis=0)


def _half_cosine(each: Readings, basis: np.ndarray, rng) -> float:
    """Mean cosine of vectors from two halves; every half has each emotion equally often on each side."""
    names = {name: i for i, name in enumerate(np.unique(each.own))}
    shift = [(names[b] - names[a]) % len(names) for a, b in zip(each.own, each.other, strict=True)]
    drawn = rng.permutation(np.unique(shift))
    first = np.isin(shift, drawn[: len(drawn) // 2])
    own, other = np.asarray(each.own), np.asarray(each.other)
    halves = [
        unit(project_out(effects(each.states[half], own[half], other[half]), basis))
        for half in (first, ~first)
    ]
    return float(np.sum(halves[0] * halves[1], axis=1).mean())


def stepped_up(half: float) -> float:
    """Reliability of the whole from that of its halves (Spearman–Brown)."""
    return 2 * half / (1 + half)


def _texts_needed(reliability: float, n: int, goal: float = 0.8) -> float:
    """How many texts of the same kind would reach the goal, by the same formula."""
    if reliability <= 0:
        return np.inf
    return float(np.ceil(n * goal * (1 - reliability) / (reliability * (1 - goal))))


def _sample(stories: tuple[Story, ...], rng) -> pd.DataFrame:
    """Stories drawn at random, for reading."""
    drawn = np.sort(rng.choice(len(stories), min(N_SAMPLE, len(stories)), replace=False))
    return pd.DataFrame([{"story": stories[i].id, "text": stories[i].text} for i in drawn])
