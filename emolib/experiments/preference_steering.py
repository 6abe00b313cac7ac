"""Do the vectors cause preferences (paper: section on preferences, Fig. 4, appendix Figs. 54-56)?

A vector is added to the tokens of an activity and nowhere else, and the disposition toward that
activity is asked for. What is compared is the mean change over activities: with the emotion's own
probe correlation, with human ratings of the word, with random directions of equal norm, with the
same push on another activity in the same prompt. Everything was settled on the first 64 activities;
the second 64 are one confirmation run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from emolib import paper, stats
from emolib.claims import Control, Evidence, held_against, judge
from emolib.corpus.schema.prompts import Activity
from emolib.experiments.preferences import correlations, disposition_scores, log_odds, read_items
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, project_out, unit

ALWAYS = ("blissful", "hostile")
STRENGTHS = (-0.5, -0.3, -0.05, 0.0, 0.05, 0.3, 0.5)
HEADLINE = 0.3  # the strength of the headline numbers
# Single layers, and one band, as shares of the depth.
DEPTHS = (0.2, 1 / 3, 7 / 15, 0.6, 11 / 15)
BAND = (1 / 3, 0.6)
# Two activities in one prompt; either, or both, can be steered. The second frame mirrors the first, so
# that what is asked about and what stands closer to the answer can be told apart. The claims' control
# is the first one; the second was added after its result was known.
PAIR_FRAMES = {
    "asked about last": (
        "One person asks you to {other}. Another one asks: how would you feel about being asked to {asked}?"
    ),
    "asked about first": (
        "One person asks: how would you feel about being asked to {asked}? Another one asks you to {other}."
    ),
}
CONTROL_FRAME = "asked about last"
PAIR_SPANS = ("asked", "other", "both")
MIXTURES, ANYWHERE = "mixtures of the vectors", "anywhere in the stream"
QUALITY_FRAME = "Describe what it is like to {}."
QUALITY_TOKENS = 40
# Emotion vectors lie in few dimensions, so any axis at all orders them somewhat as any other does.
AXES = "answers along random axes in the span of the vectors"
FEWEST_WORDS = 3  # for a correlation; a smoke run may steer fewer emotions that have a rating


@dataclass(frozen=True)
class Steered:
    """Log-probabilities of the approach and avoidance words under steering.

    `main`, `confirm` and `without_words` are (n_frames, n_items, n_conditions, n_words) with the
    conditions of `conditions`; `random` maps a kind of random direction to (n_frames, n_items,
    n_directions, n_words) at the headline strength; `layers` maps a band's name to (n_items,
    1 + n_emotions, n_words), the first unsteered; `pairs` maps a frame and then "asked", "other" and
    "both" to the same. `texts` are the continuations: emotion, strength, activity, text, log_probability.
    """

    main: np.ndarray
    confirm: np.ndarray
    without_words: np.ndarray
    random: Mapping[str, np.ndarray]
    layers: Mapping[str, np.ndarray]
    pairs: Mapping[str, Mapping[str, np.ndarray]]
    texts: pd.DataFrame


def conditions(emotions: Sequence[str], strengths: Sequence[float]) -> list[tuple[str | None, float]]:
    """The unsteered condition first, then every emotion at every strength but zero."""
    return [(None, 0.0)] + [(e, s) for e in emotions for s in strengths if s]


def bands(n_layers: int) -> dict[str, tuple[int, ...]]:
    """The single layers and the band that are steered, by name, for a model of this depth."""
    single = sorted({min(round(share * n_layers), n_layers - 1) for share in DEPTHS})
    low, high = (round(share * n_layers) for share in BAND)
    return {str(layer): (layer,) for layer in single} | {f"{low}–{high}": tuple(range(low, high + 1))}


def split(items: Sequence[Activity], seed: int) -> np.ndarray:
    """Which items are steered, (n_items,) of bool: half of every category, drawn by the seed."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(items), dtype=bool)
    for category in sorted({each.category for each in items}):
        members = [i for i, each in enumerate(items) if each.category == category]
        chosen[rng.choice(members, len(members) // 2, replace=False)] = True
    return chosen


def partners(items: Sequence[Activity], seed: int) -> list[int]:
    """For every item, one of the other half: a fixed random matching of steered with control items."""
    steered = split(items, seed)
    first, second = np.flatnonzero(steered), np.flatnonzero(~steered)
    dealt = np.random.default_rng(seed + 1).permutation(second)
    partner = dict(zip(first, dealt, strict=True))
    partner |= {j: i for i, j in partner.items()}
    return [int(partner[i]) for i in range(len(items))]


def lexical_direction(stories: np.ndarray, valences: np.ndarray) -> np.ndarray:
    """The direction along which story states (n_stories, width) follow the valence of their words."""
    centred = stories - stories.mean(axis=0)
    return unit((valences - valences.mean()) @ centred)


def without(directions: np.ndarray, lexical: np.ndarray) -> np.ndarray:
    """Directions (n, width) with the lexical one projected out."""
    return project_out(directions, lexical[None])


def run(
    steered: Steered,
    items: Mapping[str, tuple[Activity, ...]],
    states: np.ndarray,
    emotions: Sequence[str],
    random: Mapping[str, np.ndarray],
    vectors: EmotionVectors,
    layer: int,
    valid: bool,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables and claims.

    `items` holds the activities of the parts main and confirm, `states` (n_items, n_layers, width)
    their readings in this order; `random` holds the random directions of each kind, (n_directions,
    width). `valid` says whether the disposition instrument passed its gate.
    """
    rngs = iter(np.random.default_rng(seed).spawn(12))
    n = len(items["main"])
    names = list(vectors.names)
    members = [names.index(e) for e in emotions]
    at_zero = {"main": steered.main[:, :, 0], "confirm": steered.confirm[:, :, 0]}
    parts = {"main": states[:n], "confirm": states[n:]}
    probe_r = {
        part: correlations(read_items(parts[part], vectors, layer), disposition_scores(at_zero[part]))[
            members
        ]
        for part in parts
    }
    effects = {
        "main": _effects(steered.main, emotions, STRENGTHS),
        "confirm": _effects(steered.confirm, emotions, (-HEADLINE, HEADLINE)),
        "without_words": _effects(steered.without_words, emotions, (-HEADLINE, HEADLINE)),
    }
    null = _change(steered.random[MIXTURES], at_zero["main"]).mean(axis=1)
    at = vectors.at(layer)
    any_axis = stats.random_directions(at, scale.n_null, next(rngs)) @ unit(at[members]).T
    claims = [
        *_claims(
            "preferences",
            effects["main"],
            probe_r["main"],
            emotions,
            null,
            any_axis,
            steered.pairs[CONTROL_FRAME],
            valid,
            scale,
            next(rngs),
        ),
        *_claims(
            "preferences.confirm",
            effects["confirm"],
            probe_r["confirm"],
            emotions,
            null,
            any_axis,
            None,
            valid,
            scale,
            next(rngs),
        ),
    ]
    tables = {
        "moves": _move_table(steered.main, items["main"], emotions),
        "effects": _effect_table(effects, probe_r, emotions, scale, next(rngs)),
        "dose": _dose_table(effects["main"], emotions, scale, next(rngs)),
        "random": (
            at_random := _random_table(steered, random, parts["main"], at_zero["main"], vectors, layer)
        ),
        "directions": _direction_table(effects, probe_r["main"], at_random),
        "layers": _layer_table(steered.layers, probe_r["main"], emotions, scale, next(rngs)),
        "pairs": pd.concat(
            [
                _pair_table(pairs, split(items["main"], seed), emotions, probe_r["main"]).assign(frame=frame)
                for frame, pairs in steered.pairs.items()
            ],
            ignore_index=True,
        ),
        "texts": steered.texts.assign(distinct=[distinct(t) for t in steered.texts.text]),
    }
    return Outcome(tables, claims)


def _change(log_probabilities: np.ndarray, unsteered: np.ndarray) -> np.ndarray:
    """Change of the log-odds, mean over frames: (n_items, n_conditions) → transposed to conditions first."""
    odds = log_odds(log_probabilities) - log_odds(unsteered)[:, :, None]
    return odds.mean(axis=0).T


def _effects(log_probabilities, emotions, strengths) -> dict[float, np.ndarray]:
    """Per strength, the change of every item's log-odds, (n_emotions, n_items)."""
    change = _change(log_probabilities, log_probabilities[:, :, 0])
    index = {condition: i for i, condition in enumerate(conditions(emotions, strengths))}
    found = {s: change[[index[e, s] for e in emotions]] for s in strengths if s}
    return found | {0.0: np.zeros_like(next(iter(found.values())))}


def _both_ways(effects: dict[float, np.ndarray], strength: float) -> np.ndarray:
    """Half the difference between a push and its opposite: what does not depend on the sign cancels."""
    return (effects[strength] - effects[-strength]) / 2


def _claims(prefix, effects, probe_r, emotions, null, any_axis, pairs, valid, scale: Scale, rng):
    """The claims of one part. `null` (n_directions,) holds effects of random directions; `any_axis`
    (n_draws, n_emotions) what an answer along a random axis would make of every emotion's push."""
    at = effects[HEADLINE]
    found = []
    drawn = rng.integers(0, at.shape[1], (scale.n_bootstrap, at.shape[1]))
    for word in ALWAYS:
        i = list(emotions).index(word)
        control = None
        if pairs is not None:
            own, other = (_pair_change(pairs[k])[i] for k in ("asked", "other"))
            control = Control(
                estimate=float(other.mean()),
                ci=stats.mean_interval(other, scale.n_bootstrap, rng),
                difference_ci=stats.mean_interval(own - other, scale.n_bootstrap, rng),
            )
        estimate = float(at[i].mean())
        found.append(
            judge(
                Evidence(
                    id=f"{prefix}.steering_effect.{word}",
                    estimate=estimate,
                    ci=stats.mean_interval(at[i], scale.n_bootstrap, rng),
                    n=at.shape[1],
                    null=held_against(
                        "random directions of equal norm in the span of the vectors", estimate, null
                    ),
                    control=control,
                    valid=valid,
                )
            )
        )
    both = _both_ways(effects, HEADLINE)
    ratings = paper.human_ratings().pleasure
    rated = [i for i, e in enumerate(emotions) if e in ratings.index]
    pleasure = ratings.loc[[emotions[i] for i in rated]].to_numpy()
    for name, x, rows in (("probe_r", probe_r, slice(None)), ("valence_r", pleasure, rated)):
        y = both[rows]
        if len(y) < FEWEST_WORDS:
            continue
        mean = y.mean(axis=1)
        spread = np.array([stats.pearson(x, y[:, d].mean(axis=1)) for d in drawn])
        estimate = stats.pearson(x, mean)
        null = np.array([stats.pearson(x, each) for each in any_axis[:, rows]])
        found.append(
            judge(
                Evidence(
                    id=f"{prefix}.steering_vs_{name}",
                    estimate=estimate,
                    ci=stats.band(spread),
                    n=len(mean),
                    null=held_against(AXES, estimate, null),
                    valid=valid,
                )
            )
        )
    return found


def _move_table(log_probabilities, items, emotions) -> pd.DataFrame:
    """Every activity's log-odds under every emotion and strength, mean over frames; for the panel."""
    odds = log_odds(log_probabilities).mean(axis=0)
    index = {condition: i for i, condition in enumerate(conditions(emotions, STRENGTHS))}
    return pd.DataFrame(
        [
            {
                "emotion": emotion,
                "strength": strength,
                "activity": item.id,
                "category": item.category,
                "text": item.text,
                "disposition": float(odds[i, index[(emotion, strength) if strength else (None, 0.0)]]),
            }
            for emotion in emotions
            for strength in STRENGTHS
            for i, item in enumerate(items)
        ]
    )


def _effect_table(effects, probe_r, emotions, scale: Scale, rng) -> pd.DataFrame:
    """One row per emotion and kind of run: mean change at plus and minus the headline strength."""
    ratings = paper.human_ratings()
    rows = []
    for kind, found in effects.items():
        part = "confirm" if kind == "confirm" else "main"
        for i, emotion in enumerate(emotions):
            low, high = stats.mean_interval(found[HEADLINE][i], scale.n_bootstrap, rng)
            rows.append(
                {
                    "emotion": emotion,
                    "run": kind,
                    "probe_r": probe_r[part][i],
                    "effect": found[HEADLINE][i].mean(),
                    "low": low,
                    "high": high,
                    "effect_of_minus": found[-HEADLINE][i].mean(),
                    "both_ways": _both_ways(found, HEADLINE)[i].mean(),
                }
            )
    return pd.DataFrame(rows).join(ratings[["pleasure", "arousal"]], on="emotion")


def _dose_table(effects, emotions, scale: Scale, rng) -> pd.DataFrame:
    """Mean change with interval over activities, per emotion and strength."""
    rows = []
    for i, emotion in enumerate(emotions):
        for strength in STRENGTHS:
            values = effects[strength][i]
            low, high = (
                stats.mean_interval(values, scale.n_bootstrap, rng) if values.std() > 0 else (0.0, 0.0)
            )
            rows.append(
                {"emotion": emotion, "strength": strength, "effect": values.mean(), "low": low, "high": high}
            )
    return pd.DataFrame(rows)


def _random_table(steered: Steered, random, states, unsteered, vectors, layer) -> pd.DataFrame:
    """Every random direction: its own probe correlation, read like an emotion's, and its effect."""
    at = states[:, vectors.layers.index(layer)].astype(np.float64)
    centred = unit(at - at.mean(axis=0))
    tables = []
    for kind, directions in random.items():
        r = correlations(centred @ unit(directions).T, disposition_scores(unsteered))
        effect = _change(steered.random[kind], unsteered).mean(axis=1)
        tables.append(pd.DataFrame({"drawn": kind, "probe_r": r, "effect": effect}))
    return pd.concat(tables, ignore_index=True)


def _direction_table(effects, probe_r, random: pd.DataFrame) -> pd.DataFrame:
    """Emotions beside random directions: how far they move preferences, and whether as they predict."""
    whole, left = (effects[run][HEADLINE].mean(axis=1) for run in ("main", "without_words"))
    kinds = {"emotion vectors": (probe_r, whole), "emotion vectors without the words' share": (probe_r, left)}
    for kind, rows in random.groupby("drawn", sort=False):
        kinds[f"random, {kind}"] = rows.probe_r.to_numpy(), rows.effect.to_numpy()
    return pd.DataFrame(
        [
            {
                "directions": kind,
                "n": len(y),
                "sd_of_effects": np.std(y),
                "sd_of_probe_r": np.std(x),
                "r_of_effect_with_probe_r": stats.pearson(x, y),
            }
            for kind, (x, y) in kinds.items()
        ]
    )


def _layer_table(layers, probe_r, emotions, scale: Scale, rng) -> pd.DataFrame:
    """Per band of layers: spread of the effects over emotions, and their r with the probe correlation."""
    rows = []
    for band, found in layers.items():
        odds = log_odds(found)
        change = (odds[:, 1:] - odds[:, :1]).T
        drawn = rng.integers(0, change.shape[1], (scale.n_bootstrap, change.shape[1]))
        spread = np.array([stats.pearson(probe_r, change[:, d].mean(axis=1)) for d in drawn])
        low, high = stats.band(spread)
        rows.append(
            {
                "layers": band,
                "sd_of_effects": change.mean(axis=1).std(),
                "r": stats.pearson(probe_r, change.mean(axis=1)),
                "low": low,
                "high": high,
                **{word: change[list(emotions).index(word)].mean() for word in ALWAYS},
            }
        )
    return pd.DataFrame(rows)


def _pair_change(log_probabilities: np.ndarray) -> np.ndarray:
    """Change against the unsteered condition, (n_emotions, n_items)."""
    odds = log_odds(log_probabilities)
    return (odds[:, 1:] - odds[:, :1]).T


def _pair_table(pairs, steered: np.ndarray, emotions, probe_r) -> pd.DataFrame:
    """Two activities in a prompt: which one was steered, and what the question's answer did.

    `r_apart` is what a study of pairs would compute: the change of the steered half of the items
    minus that of the control half, when only the steered half is pushed, and when both are.
    """
    change = {kind: _pair_change(found) for kind, found in pairs.items()}
    only = change["asked"][:, steered].mean(axis=1) - change["other"][:, ~steered].mean(axis=1)
    mistake = change["both"][:, steered].mean(axis=1) - change["both"][:, ~steered].mean(axis=1)
    table = pd.DataFrame(
        {
            "emotion": emotions,
            "probe_r": probe_r,
            **{f"{kind}_steered": found.mean(axis=1) for kind, found in change.items()},
            "steered_minus_control": only,
            "same_with_both_steered": mistake,
        }
    )
    return table


def distinct(text: str) -> float:
    """Share of different pairs of neighbouring words: 1 is no repetition at all."""
    said = text.lower().split()
    pairs = list(pairwise(said))
    return len(set(pairs)) / len(pairs) if pairs else 0.0
