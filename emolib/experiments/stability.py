"""How firmly the headline numbers stand when what should not matter is changed.

Each number is computed again from other vectors: from stories or topics drawn anew, with one topic
left out, from one half, one grammatical person or one tense, with the neutral components kept, with
the stories read elsewhere; and at other layers and from other seeds. What the vectors are applied to
stays the same. Each new estimate gets the verdict of the ledger's own rule, beside the null that the
claim was published with. The reliability of a vector is the cosine of the same vector from two halves
of the topics, stepped up to all of them by the Spearman–Brown formula.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from emolib import paper, stats, vectors
from emolib.claims import Claim, verdict_of
from emolib.experiments import central_layers, geometry, preferences, severity
from emolib.experiments.severity import Choice, Slopes
from emolib.experiments.texts import stepped_up
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import NEUTRAL_SHARE, EmotionVectors, principal_components, project_out, unit

SEVERITY = tuple(f"severity.{severity.FAMILY}.{name}" for name in ("afraid", "calm"))
HEADLINES = (
    *(
        f"geometry.{name}"
        for name in (
            "pc1_pleasure_r",
            "pc2_arousal_r",
            "pc1_variance",
            "cluster_ari",
            "layer_similarity_min",
        )
    ),
    *SEVERITY,
    *(f"preferences.probe_r.{name}" for name in ("blissful", "hostile", "max_abs")),
    "preferences.probe_r_vs_valence_r",
)
# What a random seed decides once the vectors are given; the other headlines are the same for all seeds.
SEEDED = ("geometry.cluster_ari", *SEVERITY)
LAYERLESS = ("geometry.layer_similarity_min",)
LEFT_OUT = "one topic left out"
MOST_DRAWS, N_SEEDS = 60, 10
N_SPLITS = 20


@dataclass(frozen=True)
class Bench:
    """All that the headlines need beside vectors; every array holds the same layers as the vectors.

    `readings` and `items` are the states of severity messages and activities, `scores` what the model
    says about the activities, `compared` the layers whose maps are compared.
    """

    readings: Mapping[str, np.ndarray]
    design: pd.DataFrame
    choice: Choice
    directions: Mapping[int, np.ndarray]
    items: np.ndarray
    scores: np.ndarray
    layer: int
    middle_layer: int
    compared: list[int]
    published: Mapping[str, Claim]
    scale: Scale
    seed: int

    def measure(
        self, made: EmotionVectors, seed: int | None = None, layer: int | None = None
    ) -> dict[str, tuple[float, str]]:
        """Estimate and verdict of every headline from some vectors, {claim: (estimate, verdict)}.

        `seed` and `layer` replace the chapters' own.
        """
        seed = self.seed if seed is None else seed
        numbers = {
            f"geometry.{name}": value
            for name, value in geometry.headlines(
                made, self.layer if layer is None else layer, self.compared, seed
            ).items()
        }
        read = preferences.read_items(self.items, made, self.middle_layer if layer is None else layer)
        numbers |= preference_numbers(preferences.correlations(read, self.scores), made.names)
        found = {name: (value, verdict_of(self.published[name], value)) for name, value in numbers.items()}
        choice = self.choice if layer is None else Choice(self.choice.wording, self.choice.position, layer)
        slopes = Slopes.of(self.readings, self.design, made, self.directions, choice, "judge")
        for name in SEVERITY:
            emotion = name.rsplit(".", 1)[1]
            claim = severity.claim(emotion, slopes, made.index(emotion))
            found[name] = claim.estimate, claim.verdict
        return found


def run(
    stories: np.ndarray,
    labels: pd.DataFrame,
    elsewhere: Mapping[str, np.ndarray],
    neutral: np.ndarray,
    readings: Mapping[str, np.ndarray],
    design: pd.DataFrame,
    choice: Choice,
    items: np.ndarray,
    scores: np.ndarray,
    judged: Sequence[Claim],
    made: EmotionVectors,
    layers: Sequence[int],
    layer: int,
    middle_layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables.

    `stories` (n_stories, n_layers, width) with `labels` (columns emotion, topic, person, tense);
    `elsewhere` the same stories read in other places, at `layers` only; `neutral` (n_chats, n_layers,
    width). `readings`, `design` and `choice` are those of severity, `items` (n_items, n_layers, width)
    and `scores` (n_items,) those of preferences. `judged` are the claims of the other chapters, `made`
    the vectors that they used.
    """
    at = [made.layers.index(each) for each in layers]
    bench = Bench(
        readings={position: states[:, at] for position, states in readings.items()},
        design=design,
        choice=choice,
        directions=chapter_directions(made, scale, seed),
        items=items[:, at],
        scores=scores,
        layer=layer,
        middle_layer=middle_layer,
        compared=central_layers(made.layers, geometry.N_LAYERS_COMPARED),
        published={claim.id: claim for claim in judged if claim.id in HEADLINES},
        scale=scale,
        seed=seed,
    )
    rngs = iter(np.random.default_rng(seed).spawn(2))
    bases = [principal_components(neutral[:, i], NEUTRAL_SHARE) for i in at]
    # Projecting is linear: vectors from projected stories are the projected vectors.
    clean = _projected(stories[:, at], bases)
    maker = Maker(labels.emotion.to_numpy(), made, tuple(layers))
    variations = pd.concat(
        [
            _resampled(bench, maker, clean, labels, next(rngs)),
            _read_otherwise(bench, maker, clean, stories[:, at], elsewhere, bases),
            _other_layers(bench, maker(clean), layers),
            _other_seeds(bench, maker(clean), made),
        ],
        ignore_index=True,
    )
    variations["stays"] = variations.verdict == variations.claim.map(
        {name: claim.verdict for name, claim in bench.published.items()}
    )
    kinds = by_kind(variations)
    tables = {"variations": variations, "by_kind": kinds, "summary": summary(kinds, bench.published)}
    if labels.topic.nunique() > 1:
        rng = next(rngs)
        tables["reliability"] = reliability(clean, labels, made.names, layers, rng)
        tables["halves"] = halves(clean[:, list(layers).index(layer)], labels, made.names, rng)
    return Outcome(tables)


def chapter_directions(made: EmotionVectors, scale: Scale, seed: int) -> dict[int, np.ndarray]:
    """The random directions that the chapter on severity draws from this seed."""
    return severity.random_directions(made, scale, np.random.default_rng(seed))


def preference_numbers(r: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The four headlines of the probe from every emotion's correlation with the scores, by claim."""
    ratings = paper.human_ratings().pleasure
    members = [i for i, name in enumerate(names) if name in ratings.index]
    pleasure = ratings.loc[[names[i] for i in members]].to_numpy()
    return {
        "preferences.probe_r.blissful": float(r[names.index("blissful")]),
        "preferences.probe_r.hostile": float(r[names.index("hostile")]),
        "preferences.probe_r.max_abs": float(np.abs(r).max()),
        "preferences.probe_r_vs_valence_r": stats.pearson(r[members], pleasure),
    }


def draws(
    labels: pd.DataFrame, n_draws: int, rng: np.random.Generator
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Other sets of stories: kind, name and rows of `labels`, a row as often as it counts.

    Sets in which some emotion has no story are left out.
    """
    every = np.arange(len(labels))
    by_emotion = [every[labels.emotion == name] for name in labels.emotion.unique()]
    by_topic = [every[labels.topic == name] for name in sorted(labels.topic.unique())]
    found = []
    for draw in range(n_draws):
        rows = np.concatenate([rng.choice(own, len(own)) for own in by_emotion])
        found.append(("stories drawn anew", str(draw), rows))
    for draw in range(n_draws):
        drawn = rng.integers(0, len(by_topic), len(by_topic))
        found.append(("topics drawn anew", str(draw), np.concatenate([by_topic[i] for i in drawn])))
    for draw in range(n_draws // 2):
        for side, half in zip("ab", _topic_halves(labels, rng), strict=True):
            found.append(("half of the topics", f"{draw}{side}", half))
    for topic in sorted(labels.topic.unique()):
        found.append((LEFT_OUT, topic, every[labels.topic != topic]))
    for column in ("person", "tense"):
        for value in sorted(labels[column].unique()):
            found.append((f"one {column}", value, every[labels[column] == value]))
    for kind, name, rows in found:
        if labels.emotion.iloc[rows].nunique() == len(by_emotion):
            yield kind, name, rows


def reliability(
    stories: np.ndarray,
    labels: pd.DataFrame,
    names: Sequence[str],
    layers: Sequence[int],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per layer and emotion: mean cosine of the vectors from two halves of the topics.

    `stories` is (n_stories, n_layers, width). `reliability` is stepped up to all topics. The null is
    the cosine of one emotion's half with another's, its middle 95 % over all pairs and splits.
    """
    emotions = labels.emotion.to_numpy()
    splits = np.stack(
        [_cosines(stories, emotions, names, *_topic_halves(labels, rng)) for _ in range(N_SPLITS)], axis=1
    )
    others = ~np.eye(len(names), dtype=bool)
    rows = []
    for layer, tables in zip(layers, splits, strict=True):
        low, high = stats.band(tables[:, others].ravel())
        for name, half in zip(names, np.diag(tables.mean(axis=0)), strict=True):
            rows.append(
                {
                    "layer": layer,
                    "emotion": name,
                    "half_cosine": half,
                    "reliability": stepped_up(half),
                    "null_low": low,
                    "null_high": high,
                }
            )
    return pd.DataFrame(rows)


def halves(
    stories: np.ndarray, labels: pd.DataFrame, names: Sequence[str], rng: np.random.Generator
) -> pd.DataFrame:
    """Mean cosine over emotions of the vectors from two halves, by what parts the stories.

    `stories` is (n_stories, width). Person and tense part every emotion's stories in their own way, so
    they stand beside halves drawn for each emotion by itself. `low` and `high` hold 95 % of the draws.
    """
    emotions = labels.emotion.to_numpy()

    def agreement(first: np.ndarray, second: np.ndarray) -> float:
        cosines = _cosines(stories[:, None], emotions, names, first, second)[0]
        return float(np.diag(cosines).mean())

    drawn = {
        "halves of the topics": [agreement(*_topic_halves(labels, rng)) for _ in range(N_SPLITS)],
        "halves of each emotion's stories": [agreement(*_own_halves(emotions, rng)) for _ in range(N_SPLITS)],
    }
    for column in ("person", "tense"):
        sides = [np.flatnonzero(labels[column] == value) for value in sorted(labels[column].unique())]
        if len(sides) == 2 and all(len(set(emotions[side])) == len(names) for side in sides):
            drawn[f"{labels[column].min()} against {labels[column].max()} {column}"] = [agreement(*sides)]
    return pd.DataFrame(
        [
            {"halves": kind, "cosine": np.mean(each), "low": low, "high": high}
            for kind, each in drawn.items()
            for low, high in [stats.band(np.array(each))]
        ]
    )


def by_kind(variations: pd.DataFrame) -> pd.DataFrame:
    """One row per headline and kind of variation: how many, their range, how many keep the verdict."""
    found = variations.groupby(["claim", "kind"], sort=False)
    return found.agg(
        n=("estimate", "size"),
        lowest=("estimate", "min"),
        mean=("estimate", "mean"),
        highest=("estimate", "max"),
        stays=("stays", "mean"),
    ).reset_index()


def summary(kinds: pd.DataFrame, published: Mapping[str, Claim]) -> pd.DataFrame:
    """One row per headline: as published, its range over all variations, how often its verdict stays.

    `kinds` is the table of `by_kind`. `stays` is the mean share over kinds, because the number of
    draws of a kind is arbitrary; `weakest` is the kind under which the verdict stays least often.
    """
    rows = []
    for name in HEADLINES:
        claim, own = published[name], kinds[kinds.claim == name]
        least = own.loc[own.stays.idxmin()]
        rows.append(
            {
                "claim": name,
                "verdict": claim.verdict,
                "paper": np.nan if claim.paper is None else claim.paper,
                "estimate": claim.estimate,
                "low": claim.ci[0],
                "high": claim.ci[1],
                "null_low": claim.null.low,
                "null_high": claim.null.high,
                "lowest": own.lowest.min(),
                "highest": own.highest.max(),
                "stays": own.stays.mean(),
                "weakest": least.kind if least.stays < 1 else "",
                "weakest_stays": least.stays,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Maker:
    """Makes vectors of the same emotions as `like` from stories of these emotions, at `layers`."""

    emotions: np.ndarray
    like: EmotionVectors
    layers: tuple[int, ...]

    def __call__(self, states: np.ndarray, rows: np.ndarray | slice = slice(None)) -> EmotionVectors:
        """Vectors from some rows of the states (n_stories, n_layers, width)."""
        return vectors.fit(
            states[rows],
            self.emotions[rows],
            self.like.names,
            self.layers,
            self.like.fingerprint,
            self.like.corpus_hash,
        )


def _resampled(bench: Bench, maker: Maker, clean, labels, rng) -> pd.DataFrame:
    n_draws = min(bench.scale.n_bootstrap // 10, MOST_DRAWS)
    return pd.concat(
        [
            _rows(kind, name, bench.measure(maker(clean, rows)))
            for kind, name, rows in draws(labels, n_draws, rng)
        ]
    )


def _read_otherwise(bench: Bench, maker: Maker, clean, raw, elsewhere, bases) -> pd.DataFrame:
    """Neutral components kept, and the stories read in other places."""
    made = {("neutral components", "kept"): maker(raw)}
    for place, states in elsewhere.items():
        made["place in the story", place] = maker(_projected(states, bases))
    return pd.concat([_rows(*name, bench.measure(each)) for name, each in made.items()])


def _other_layers(bench: Bench, made: EmotionVectors, layers: Sequence[int]) -> pd.DataFrame:
    tables = [_rows("layer", str(layer), bench.measure(made, layer=layer)) for layer in layers]
    return pd.concat(tables).query("claim not in @LAYERLESS")


def _other_seeds(bench: Bench, made: EmotionVectors, whole: EmotionVectors) -> pd.DataFrame:
    tables = []
    for seed in range(bench.seed + 1, bench.seed + 1 + N_SEEDS):
        drawn = replace(bench, directions=chapter_directions(whole, bench.scale, seed))
        tables.append(_rows("seed", str(seed), drawn.measure(made, seed=seed)))
    return pd.concat(tables).query("claim in @SEEDED")


def _rows(kind: str, name: str, measured: Mapping[str, tuple[float, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"kind": kind, "variation": name, "claim": claim, "estimate": value, "verdict": verdict}
            for claim, (value, verdict) in measured.items()
        ]
    )


def _projected(states: np.ndarray, bases: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack([project_out(states[:, i], basis) for i, basis in enumerate(bases)], axis=1)


def _topic_halves(labels: pd.DataFrame, rng) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the stories on a random half of the topics, and of the others."""
    topics = rng.permutation(np.sort(labels.topic.unique()))
    first = labels.topic.isin(topics[: len(topics) // 2]).to_numpy()
    return np.flatnonzero(first), np.flatnonzero(~first)


def _own_halves(emotions: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a random half of each emotion's stories, and of the others."""
    own = [rng.permutation(np.flatnonzero(emotions == name)) for name in np.unique(emotions)]
    return tuple(
        np.concatenate(side)
        for side in zip(*((rows[: len(rows) // 2], rows[len(rows) // 2 :]) for rows in own), strict=True)
    )


def _cosines(stories, emotions, names, first, second) -> np.ndarray:
    """Cosines of every emotion's vector from one set of rows with every one's from another, per layer.

    `stories` is (n_stories, n_layers, width); returns (n_layers, n_emotions, n_emotions).
    """
    sides = []
    for rows in (first, second):
        means = vectors.mean_by_emotion(stories[rows], emotions[rows], names)
        sides.append(np.moveaxis(unit(means - means.mean(axis=0)), 1, 0))
    return sides[0] @ np.swapaxes(sides[1], 1, 2)
