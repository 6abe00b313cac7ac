"""How the vectors are made, whether they know unseen stories, and where they fire (paper, extraction).

The held-out test makes vectors from all topics but one and asks, for each story of that topic, how
high its own emotion ranks among all by cosine. Token readings are cosines of the centred residual
stream: the mean over all tokens of the passages is subtracted first, because an uncentred stream
points the same way everywhere and shifts every emotion by a constant. The first token is left out; it
is where models of this kind park attention, and its norm dwarfs all others.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from emolib import paper, stats
from emolib.corpus.schema.stories import Passage
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, cosine, mean_by_emotion, unit

N_NEAREST = 4
HELD_OUT_EVERY = 3  # layers between two held-out tests


def run(
    vectors: EmotionVectors,
    raw: EmotionVectors,
    stories: np.ndarray,
    emotions: list[str],
    topics: list[str],
    passages: tuple[Passage, ...],
    tokens: list[tuple[list[str], np.ndarray]],
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables.

    `stories` is (n_stories, n_layers, width); `tokens` holds, per passage, its token texts and their
    states (n_tokens, n_layers, width). `layer` is where passages are read.
    """
    rng = np.random.default_rng(seed)
    read = _centred_passages(passages, tokens, vectors.layers.index(layer))
    layers = sorted({layer, *vectors.layers[::HELD_OUT_EVERY]})
    tables = {
        "norms": _norms(vectors, raw),
        "nearest": _nearest(vectors, layer),
        "tokens": _token_table(vectors, read, layer, scale, rng),
        "shown": _shown_table(vectors, read, layer),
    }
    if len(set(topics)) > 1:
        tables["held_out"] = pd.concat([held_out(raw, stories, emotions, topics, at) for at in layers])
    return Outcome(tables)


def held_out(
    raw: EmotionVectors, stories: np.ndarray, emotions: list[str], topics: list[str], layer: int
) -> pd.DataFrame:
    """Rank of each story's emotion when the vectors come from the other topics (1 is best).

    One row per story: layer, topic, emotion, rank of the emotion itself, and whether the best-ranked
    emotion is in the same cluster of the paper.
    """
    names, labels, topics = raw.names, np.asarray(emotions), np.asarray(topics)
    states = stories[:, raw.layers.index(layer)].astype(np.float64)
    index = {name: i for i, name in enumerate(names)}
    cluster = np.array([paper.clusters().get(name) for name in names])
    rows = []
    for topic in np.unique(topics):
        out = topics == topic
        means = mean_by_emotion(states[~out], labels[~out], names)
        # The stories left out are centred on their own topic, so that only feeling can tell them apart.
        read = cosine(states[out] - states[out].mean(axis=0), means - means.mean(axis=0))
        for emotion, row in zip(labels[out], read, strict=True):
            own = index[emotion]
            rows.append(
                {
                    "layer": layer,
                    "topic": topic,
                    "emotion": emotion,
                    "rank": int((row > row[own]).sum()) + 1,
                    "cluster_found": bool(cluster[row.argmax()] == cluster[own]),
                }
            )
    return pd.DataFrame(rows)


def _norms(vectors: EmotionVectors, raw: EmotionVectors) -> pd.DataFrame:
    """Per layer: mean vector norm before and after denoising, norm of the mean, components removed."""
    return pd.DataFrame(
        {
            "layer": raw.layers,
            "raw_norm": np.linalg.norm(raw.array, axis=-1).mean(axis=0),
            "norm": np.linalg.norm(vectors.array, axis=-1).mean(axis=0),
            "stream_norm": np.linalg.norm(raw.origin, axis=-1),
            "components_removed": vectors.steps["neutral_components"],
        }
    )


def _nearest(vectors: EmotionVectors, layer: int) -> pd.DataFrame:
    """The nearest and the farthest emotions of every emotion, by cosine."""
    at_layer = unit(vectors.at(layer))
    cosines = at_layer @ at_layer.T
    rows = []
    for i, name in enumerate(vectors.names):
        order = [j for j in np.argsort(-cosines[i]) if j != i]
        rows.append(
            {
                "emotion": name,
                "nearest": ", ".join(vectors.names[j] for j in order[:N_NEAREST]),
                "farthest": ", ".join(vectors.names[j] for j in order[: -N_NEAREST - 1 : -1]),
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Read:
    """A passage's first token, its further tokens' texts, centred states (n_tokens, width) and parts."""

    passage: Passage
    first: str
    pieces: list[str]
    states: np.ndarray
    part: np.ndarray


def _centred_passages(passages, tokens, at: int) -> list[_Read]:
    """Passages without their first token, centred on the mean over all their tokens."""
    origin = np.concatenate([states[1:, at] for _, states in tokens]).mean(axis=0)
    found = []
    for passage, (pieces, states) in zip(passages, tokens, strict=True):
        ends = np.cumsum([len(part.text) + 1 for part in passage.parts])
        starts = np.cumsum([0, *map(len, pieces)])[1:-1]
        part = np.minimum(np.searchsorted(ends, starts, side="right"), len(passage.parts) - 1)
        found.append(_Read(passage, pieces[0], pieces[1:], states[1:, at] - origin, part))
    return found


def _token_table(vectors: EmotionVectors, read: list[_Read], layer: int, scale: Scale, rng) -> pd.DataFrame:
    """One row per passage, token and emotion that the passage shows, with the null band."""
    random = stats.random_directions(vectors.at(layer), scale.n_null, rng)
    rows = []
    for each in read:
        cosines = cosine(each.states, vectors.at(layer))
        low, high = stats.band(cosine(each.states, random).T)
        for name in _known(vectors, each.passage):
            unread = dict.fromkeys(("reading", "null_low", "null_high"), np.nan)
            where = {"passage": each.passage.title, "emotion": name}
            rows.append({**where, "position": 0, "part": 0, "token": each.first, **unread})
            for position, piece in enumerate(each.pieces):
                rows.append(
                    {
                        **where,
                        "position": position + 1,
                        "part": int(each.part[position]),
                        "token": piece,
                        "reading": cosines[position, vectors.index(name)],
                        "null_low": low[position],
                        "null_high": high[position],
                    }
                )
    return pd.DataFrame(rows)


def _shown_table(vectors: EmotionVectors, read: list[_Read], layer: int) -> pd.DataFrame:
    """Per part of a passage: the emotion meant, its rank among all, and the emotions that read highest."""
    rows = []
    for each in read:
        for number, part in enumerate(each.passage.parts):
            if part.emotion not in vectors.names:  # a corpus of fewer emotions
                continue
            order = np.argsort(-cosine(each.states[each.part == number].mean(axis=0), vectors.at(layer)))
            rows.append(
                {
                    "passage": each.passage.title,
                    "part": number + 1,
                    "meant": part.emotion,
                    "rank": int(np.flatnonzero(order == vectors.index(part.emotion))[0]) + 1,
                    "of": len(vectors.names),
                    "highest": ", ".join(vectors.names[i] for i in order[:5]),
                }
            )
    return pd.DataFrame(rows)


def _known(vectors: EmotionVectors, passage: Passage) -> list[str]:
    return [part.emotion for part in passage.parts if part.emotion in vectors.names]
