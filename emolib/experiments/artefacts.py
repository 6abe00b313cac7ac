"""Six known mistakes, made on purpose on our own numbers, each beside the same number done right.

The mistakes are from published replications. What needs the model is read in `emolib.mistakes`; from
there on they are arithmetic. A mistake that does no harm on this model is reported as such.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from emolib import paper, stats
from emolib.corpus.sets import SCENARIO_EMOTIONS
from emolib.experiments.geometry import RATED, principal_axes, turned_up
from emolib.experiments.preferences import correlations, disposition_scores, log_odds, read_items, reliability
from emolib.experiments.severity import CONTROL, FAMILY
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import (
    NEUTRAL_SHARE,
    EmotionVectors,
    cosine,
    mean_by_emotion,
    principal_components,
    project_out,
    unit,
)

PADDING, NORMALISING, CONTRAST, CENTRING, NORM, MONOTONE = (
    "padding on the left, read at mask.sum() - 1",
    "principal components of vectors that are not normalised",
    "steering both activities",
    "readings that are not centred",
    "norm measured at another token",
    "a monotone curve as the test",
)
OURS = "unit vectors"
STRENGTH = 0.3  # the headline strength of the chapter on steering
CONTENT = "story tokens from the 50th on"
N_MASSIVE = 2
HIGH_RANK = 0.8
EMOTIONS, MIXTURES, ANYWHERE = "emotions", "random mixtures of the vectors", "random, anywhere"


@dataclass(frozen=True)
class Misread:
    """What was read wrongly.

    `answers` (n_frames, n_items, n_words) and `scenarios` (n_scenarios, n_layers, width) are read at
    `mask.sum() - 1`, by the side of the padding. `openings` (n_stories, width) is the mean over the
    first tokens of every story, those that the right way leaves out, in the read-out layer, and
    `opening_share` (n_stories,) their share of all tokens. `squares` maps a place in the text to the
    mean square of every dimension there, (n_layers, width).
    """

    answers: Mapping[str, np.ndarray]
    scenarios: Mapping[str, np.ndarray]
    openings: np.ndarray
    opening_share: np.ndarray
    squares: Mapping[str, np.ndarray]


def run(
    misread: Misread,
    disposition: np.ndarray,
    items: np.ndarray,
    scenarios: np.ndarray,
    scenario_emotions: list[str],
    stories: np.ndarray,
    emotions: list[str],
    neutral: np.ndarray,
    pairs: pd.DataFrame,
    severity: dict[str, np.ndarray],
    design: pd.DataFrame,
    vectors: EmotionVectors,
    layer: int,
    middle_layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables; it tests no claim of the paper.

    Read rightly: `disposition` (n_frames, n_items, n_words), the states of the same `items`, of the
    `scenarios` before the reply, of the `stories` and of the `neutral` chats, each (n, n_layers,
    width); `severity` maps a position to states in the order of `design`. `pairs` is the table of two
    activities in one prompt, of the chapter on steering. Preferences are read in `middle_layer`,
    all else in `layer`.
    """
    rngs = iter(np.random.default_rng(seed).spawn(8))
    at = vectors.layers.index(layer)
    every_token = from_the_first(stories[:, at], misread.openings, misread.opening_share)
    recipes = ways_to_decompose(stories[:, at], every_token, emotions, neutral[:, at], vectors.names)
    read = read_items(items, vectors, middle_layer)
    tables = {
        "padding": padding(disposition, misread.answers),
        "probe": probe(disposition, misread.answers, read, vectors.names),
        "components": components(recipes, vectors.names, scale.n_null, next(rngs)),
        "contrast": contrast(pairs),
        "centring": centring(
            scenarios, misread.scenarios, scenario_emotions, vectors, scale.n_null, next(rngs)
        ),
        "winners": winners(scenarios[:, at], scenario_emotions, vectors, layer),
        "norms": norms(misread.squares, vectors),
        "curves": curves(severity, design, vectors, layer, scale.n_null, next(rngs)),
    }
    at_layer = scenarios[:, at], misread.scenarios["left"][:, at], scenario_emotions
    summary = [
        *_padding_rows(disposition, misread.answers["left"], read, vectors.names, scale, next(rngs)),
        *_scenario_rows(*at_layer, vectors, layer, scale, next(rngs)),
        *_component_rows(recipes, vectors.names, scale, next(rngs)),
        *_contrast_rows(tables["contrast"], scale, next(rngs)),
        *_norm_rows(tables["norms"], layer),
        *_curve_rows(tables["curves"]),
    ]
    order = [PADDING, NORMALISING, CONTRAST, CENTRING, NORM, MONOTONE]
    table = pd.DataFrame(summary).assign(difference=lambda t: t.wrong - t.right)
    tables["summary"] = table.sort_values("mistake", key=lambda m: m.map(order.index), kind="stable")[
        ["mistake", "number", "right", "wrong", "difference", "low", "high", "null_low", "null_high", "n"]
    ].reset_index(drop=True)
    return Outcome(tables)


# 1. Padding.


def padding(disposition, misread: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per activity: its disposition read rightly, and at `mask.sum() - 1` on either side."""
    return pd.DataFrame(
        {
            "item": range(disposition.shape[1]),
            "score": disposition_scores(disposition),
            **{side: disposition_scores(found) for side, found in misread.items()},
        }
    )


def probe(disposition, misread, read: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Every emotion's correlation with the disposition read rightly, and wrongly on either side."""
    ways = {"score": disposition, **misread}
    found = {way: correlations(read, disposition_scores(answers)) for way, answers in ways.items()}
    return pd.DataFrame({"emotion": names, **found})


def _padding_rows(disposition, wrong, read, names, scale: Scale, rng) -> list[dict]:
    right_scores, wrong_scores = disposition_scores(disposition), disposition_scores(wrong)
    n = len(right_scores)
    rows = [
        {
            "mistake": PADDING,
            "number": "reliability of the disposition over its frames",
            "right": reliability(log_odds(disposition)),
            "wrong": reliability(log_odds(wrong)),
            "n": n,
        }
    ]
    for word in ("blissful", "hostile"):
        x = read[:, names.index(word)]

        def difference(members, x=x):
            return stats.pearson(x[members], wrong_scores[members]) - stats.pearson(
                x[members], right_scores[members]
            )

        null = stats.permuted_correlations(x, right_scores, scale.n_null, rng)
        rows.append(
            {
                "mistake": PADDING,
                "number": f"r of {word} with the disposition",
                "right": stats.pearson(x, right_scores),
                "wrong": stats.pearson(x, wrong_scores),
                **_interval(difference, n, scale, rng),
                **_band(null),
                "n": n,
            }
        )
    return rows


# 2. Vectors that are not normalised.


def from_the_first(states: np.ndarray, openings: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Means over all tokens from those over the later ones and over the opening, (n, width)."""
    return share[:, None] * openings + (1 - share[:, None]) * states


def ways_to_decompose(states, every_token, emotions, neutral, names) -> dict[str, np.ndarray]:
    """Emotion vectors (n_emotions, width) by recipe, made from states (n_stories, width)."""
    basis = principal_components(neutral, NEUTRAL_SHARE)

    def made(from_states: np.ndarray) -> np.ndarray:
        means = mean_by_emotion(from_states, emotions, names)
        return project_out(means - means.mean(axis=0), basis)

    return {
        OURS: unit(made(states)),
        "vectors as they come": made(states),
        "unit vectors, read from the first token": unit(made(every_token)),
        "as they come, read from the first token": made(every_token),
    }


def components(recipes: Mapping[str, np.ndarray], names, n_null: int, rng) -> pd.DataFrame:
    """Per recipe: what the first two components correlate with, and how much they hold.

    `pc1_norm_r` is the correlation of the first component with the length of the vectors before any
    scaling, without its sign.
    """
    ratings, members = _rated(names)
    lengths = {name: np.linalg.norm(array, axis=1) for name, array in recipes.items()}
    rows = []
    for name, array in recipes.items():
        # Unit vectors have one length; what they may have found is the length that they had before.
        length = lengths[_UNSCALED.get(name, name)]
        scores, share = principal_axes(array)
        scores = turned_up(scores, tuple(names))
        row = {"recipe": name, "pc1_norm_r": abs(stats.pearson(scores[:, 0], length))}
        row["longest_to_median"] = length.max() / np.median(length)
        for component, rating in RATED.items():
            x, y = scores[members, component], ratings[rating].to_numpy()
            row[f"pc{component + 1}_{rating}_r"] = stats.pearson(x, y)
            row[f"pc{component + 1}_share"] = share[component]
            band = stats.band(stats.permuted_correlations(x, y, n_null, rng))
            row[f"pc{component + 1}_null_low"], row[f"pc{component + 1}_null_high"] = band
        rows.append(row)
    return pd.DataFrame(rows)


_UNSCALED = {
    OURS: "vectors as they come",
    "unit vectors, read from the first token": "as they come, read from the first token",
}


def _component_rows(recipes, names, scale: Scale, rng) -> list[dict]:
    ratings, members = _rated(names)
    scores = {name: turned_up(principal_axes(array)[0], tuple(names)) for name, array in recipes.items()}
    rows = []
    for wrong, said in (
        ("vectors as they come", ", not normalised"),
        ("unit vectors, read from the first token", ", unit vectors but read from the first token"),
    ):
        for component, rating in RATED.items():
            y = ratings[rating].to_numpy()
            x, z = (scores[name][members, component] for name in (OURS, wrong))

            def difference(drawn, x=x, y=y, z=z):
                return stats.pearson(z[drawn], y[drawn]) - stats.pearson(x[drawn], y[drawn])

            rows.append(
                {
                    "mistake": NORMALISING,
                    "number": f"r of PC{component + 1} with {rating}{said}",
                    "right": stats.pearson(x, y),
                    "wrong": stats.pearson(z, y),
                    **_interval(difference, len(y), scale, rng),
                    **_band(stats.permuted_correlations(x, y, scale.n_null, rng)),
                    "n": len(y),
                }
            )
    return rows


def _rated(names) -> tuple[pd.DataFrame, list[int]]:
    ratings = paper.human_ratings()
    members = [i for i, name in enumerate(names) if name in ratings.index]
    return ratings.loc[[names[i] for i in members]], members


# 3. Steering both activities.


def contrast(pairs: pd.DataFrame) -> pd.DataFrame:
    """Per emotion: the steered half minus the control half, with one half steered and with both."""
    table = pairs.rename(columns={"steered_minus_control": "right", "same_with_both_steered": "wrong"})
    return table[["emotion", "probe_r", "right", "wrong"]]


def _contrast_rows(table: pd.DataFrame, scale: Scale, rng) -> list[dict]:
    right, wrong, probe_r = (table[name].to_numpy() for name in ("right", "wrong", "probe_r"))
    return [
        {
            "mistake": CONTRAST,
            "number": "sd of the contrast over emotions, log-odds",
            "right": right.std(),
            "wrong": wrong.std(),
            **_interval(lambda drawn: wrong[drawn].std() - right[drawn].std(), len(table), scale, rng),
            "n": len(table),
        },
        {
            "mistake": CONTRAST,
            "number": "r of the contrast with the probe correlation",
            "right": stats.pearson(probe_r, right),
            "wrong": stats.pearson(probe_r, wrong),
            **_interval(
                lambda drawn: (
                    stats.pearson(probe_r[drawn], wrong[drawn]) - stats.pearson(probe_r[drawn], right[drawn])
                ),
                len(table),
                scale,
                rng,
            ),
            **_band(stats.permuted_correlations(probe_r, right, scale.n_null, rng)),
            "n": len(table),
        },
    ]


# 4. Readings that are not centred.


def readings(states: np.ndarray, vectors: np.ndarray, centred: bool) -> np.ndarray:
    """Cosine of states (n, width) with vectors (n_vectors, width), with or without their mean removed."""
    states = states.astype(np.float64)
    return cosine(states - states.mean(axis=0) if centred else states, vectors)


def hits(states: np.ndarray, labels: Sequence[str], vectors: np.ndarray, names, centred: bool) -> np.ndarray:
    """Whether each text's own emotion has the highest reading of the named ones, (n,) of bool."""
    best = readings(states, vectors, centred).argmax(axis=1)
    return np.asarray(names)[best] == np.asarray(labels)


def centring(scenarios, misread, labels, vectors: EmotionVectors, n_null: int, rng) -> pd.DataFrame:
    """Share of scenarios whose own emotion reads highest of twelve, per layer and way of reading.

    `shared` is the share of the states' mean square that is their mean: what all prompts have in common.
    """
    names = [name for name in SCENARIO_EMOTIONS if name in vectors.names]
    twelve = [vectors.index(name) for name in names]
    ways = {
        "centred": (scenarios, True),
        "not centred": (scenarios, False),
        "centred, padded on the left": (misread["left"], True),
    }
    rows = []
    for i, layer in enumerate(vectors.layers):
        at = scenarios[:, i].astype(np.float64)
        shared = np.sum(at.mean(axis=0) ** 2) / np.mean(np.sum(at**2, axis=1))
        for way, (states, centred) in ways.items():
            best = np.asarray(names)[
                readings(states[:, i], vectors.at(layer)[twelve], centred).argmax(axis=1)
            ]
            null = [np.mean(best == rng.permutation(labels)) for _ in range(n_null)]
            low, high = stats.band(np.array(null))
            rows.append(
                {
                    "layer": layer,
                    "way": way,
                    "accuracy": np.mean(best == np.asarray(labels)),
                    "null_low": low,
                    "null_high": high,
                    "shared": shared,
                }
            )
    return pd.DataFrame(rows)


def winners(states: np.ndarray, labels, vectors: EmotionVectors, layer: int) -> pd.DataFrame:
    """Per emotion of the twelve: how many scenarios it wins, and on how many it is positive."""
    names = [name for name in SCENARIO_EMOTIONS if name in vectors.names]
    twelve = vectors.at(layer)[[vectors.index(name) for name in names]]
    rows = []
    for way, centred in (("centred", True), ("not centred", False)):
        read = readings(states, twelve, centred)
        for i, name in enumerate(names):
            rows.append(
                {
                    "emotion": name,
                    "way": way,
                    "wins": int(np.sum(read.argmax(axis=1) == i)),
                    "own": int(np.sum(np.asarray(labels) == name)),
                    "positive": np.mean(read[:, i] > 0),
                    "mean": read[:, i].mean(),
                }
            )
    return pd.DataFrame(rows)


def _scenario_rows(right, left, labels, vectors: EmotionVectors, layer, scale: Scale, rng) -> list[dict]:
    names = [name for name in SCENARIO_EMOTIONS if name in vectors.names]
    twelve = vectors.at(layer)[[vectors.index(name) for name in names]]
    good = hits(right, labels, twelve, names, centred=True)
    rows = []
    for mistake, bad in (
        (PADDING, hits(left, labels, twelve, names, centred=True)),
        (CENTRING, hits(right, labels, twelve, names, centred=False)),
    ):
        # What the chance level is depends on nothing but the labels: as many of each emotion.
        null = np.array([np.mean(rng.permutation(labels) == np.asarray(labels)) for _ in range(scale.n_null)])
        rows.append(
            {
                "mistake": mistake,
                "number": "scenarios whose emotion reads highest of twelve, share",
                "right": good.mean(),
                "wrong": bad.mean(),
                **_interval(lambda d, bad=bad: bad[d].mean() - good[d].mean(), len(good), scale, rng),
                **_band(null),
                "n": len(good),
            }
        )
    read = [readings(right, twelve, centred) for centred in (True, False)]
    won = [np.bincount(r.argmax(axis=1), minlength=len(names)).max() / len(r) for r in read]
    rows.append(
        {
            "mistake": CENTRING,
            "number": "scenarios won by the vector that wins most, share",
            "right": won[0],
            "wrong": won[1],
            "n": len(right),
        }
    )
    return rows


# 5. The norm.


def norms(squares: Mapping[str, np.ndarray], vectors: EmotionVectors) -> pd.DataFrame:
    """Root mean square length of the stream per place and layer, and how few dimensions hold it.

    `to_content` is the length as a multiple of that at `CONTENT`; `without_massive` the same length
    without its largest `N_MASSIVE` dimensions, `massive_share` their share of the square; `vectors` the
    median length of the layer's emotion vectors.
    """
    rows = []
    for place, square in squares.items():
        for i, layer in enumerate(vectors.layers):
            total = square[i].sum()
            massive = np.sort(square[i])[-N_MASSIVE:].sum()
            rows.append(
                {
                    "place": place,
                    "layer": layer,
                    "norm": np.sqrt(total),
                    "without_massive": np.sqrt(total - massive),
                    "massive_share": massive / total,
                    "to_content": np.sqrt(total / squares[CONTENT][i].sum()),
                    "vectors": np.median(np.linalg.norm(vectors.at(layer), axis=1)),
                }
            )
    return pd.DataFrame(rows)


def _norm_rows(table: pd.DataFrame, layer: int) -> list[dict]:
    at = table[table.layer == layer].set_index("place")
    content = at.loc[CONTENT]
    wrong = {f"if measured at the {place}": at.norm[place] for place in at.index.drop(CONTENT)}
    wrong[f"if measured without the {N_MASSIVE} largest dimensions"] = content.without_massive
    return [
        {
            "mistake": NORM,
            "number": f"push called {STRENGTH}, in norms of content tokens, {said}",
            "right": STRENGTH,
            "wrong": STRENGTH * norm / content.norm,
        }
        for said, norm in wrong.items()
    ]


# 6. A monotone curve as the test.


def monotone(curves: np.ndarray) -> np.ndarray:
    """Whether each curve along the last axis only rises or only falls."""
    steps = np.diff(curves, axis=-1)
    return (steps > 0).all(axis=-1) | (steps < 0).all(axis=-1)


def high_rank(curves: np.ndarray) -> np.ndarray:
    """Whether each curve's rank correlation with its own order is beyond `HIGH_RANK`, either way."""
    k = curves.shape[-1]
    ranks = rankdata(curves, axis=-1) - (k + 1) / 2
    order = np.arange(k) - (k - 1) / 2
    # Rounding must not decide a curve that lies exactly on the bound.
    return np.abs(ranks @ order / np.sum(order**2)) > HIGH_RANK + 1e-9


SAID = {FAMILY: "tablets", CONTROL: "chalk"}
TESTS = {"monotone": monotone, "rank correlation beyond .8": high_rank}


def by_chance(test: Callable[[np.ndarray], np.ndarray], k: int) -> float:
    """Probability that `k` independent readings of the same distribution pass, by counting orders."""
    return float(test(np.array(list(permutations(range(k))), dtype=float)).mean())


def curves(severity, design, vectors: EmotionVectors, layer: int, n: int, rng) -> pd.DataFrame:
    """Share of directions whose mean curve over the dose passes each test, family beside control.

    `beyond` is the share whose slope leaves the middle 95 % of random mixtures; `independent` what
    readings without any dependence would give.
    """
    at = vectors.at(layer)
    directions = {
        EMOTIONS: at,
        MIXTURES: stats.random_directions(at, n, rng),
        ANYWHERE: unit(rng.standard_normal((n, at.shape[1]))),
    }
    rows = []
    for (family, wording), prompts in design.groupby(["family", "wording"], sort=False):
        prompts = prompts.sort_values(["paraphrase", "value"])
        values = np.unique(prompts.value)
        independent = {name: by_chance(test, len(values)) for name, test in TESTS.items()}
        for position, states in severity.items():
            chosen = states[prompts.index.to_numpy(), vectors.layers.index(layer)]
            chosen = chosen.reshape(-1, len(values), chosen.shape[-1])
            found = {
                kind: np.moveaxis(cosine(chosen, each), 1, -1).mean(axis=0)
                for kind, each in directions.items()
            }
            low, high = stats.band(stats.slopes(found[MIXTURES], np.log2(values)))
            for kind, curve in found.items():
                slope = stats.slopes(curve, np.log2(values))
                for name, test in TESTS.items():
                    rows.append(
                        {
                            "family": family,
                            "wording": wording,
                            "position": position,
                            "directions": kind,
                            "test": name,
                            "passes": test(curve).mean(),
                            "independent": independent[name],
                            "beyond": np.mean((slope < low) | (slope > high)),
                            "n": len(curve),
                        }
                    )
    return pd.DataFrame(rows)


def _curve_rows(table: pd.DataFrame) -> list[dict]:
    """How many curves pass without standing for anything: what random mixtures do, against what one
    expects who takes the readings for independent. Means over all wordings and positions.
    """
    rows = []
    for (family, test), passed in table.groupby(["family", "test"], sort=False):
        kinds = passed.groupby("directions").mean(numeric_only=True)
        rows.append(
            {
                "mistake": MONOTONE,
                "number": f"random directions that follow the {SAID[family]}, share ({test})",
                "right": kinds.passes[MIXTURES],
                "wrong": kinds.independent[MIXTURES],
                "n": kinds.n[MIXTURES],
            }
        )
    return rows


def _interval(difference: Callable[[np.ndarray], float], n: int, scale: Scale, rng) -> dict[str, float]:
    """Bootstrap interval of a difference between wrong and right over the same items."""
    drawn = rng.integers(0, n, (scale.n_bootstrap, n))
    low, high = stats.band(np.array([difference(rows) for rows in drawn]))
    return {"low": low, "high": high}


def _band(null: np.ndarray) -> dict[str, float]:
    low, high = stats.band(null)
    return {"null_low": low, "null_high": high}
