"""What short trainings with a known aim shift before the reply (paper, section 3.5, Figs. 36-39, Table 16).

The model before training and each trained one read the same messages just before the reply, with the
vectors of the model before training. What is read is the cosine of the residual stream with a vector,
and a shift is after minus before on the same message. Claims count it in standard deviations of random
directions' mean shifts in the same training; the placebo is their control, in the same unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from emolib import stats
from emolib.claims import Claim, Control, Evidence, held_against, judge
from emolib.errors import EmolibError
from emolib.experiments import shifts
from emolib.experiments.preference_steering import ALWAYS, distinct
from emolib.experiments.preferences import (
    LEAST_RELIABILITY,
    centred_cosine,
    correlations,
    disposition_scores,
    log_odds,
    reliability,
)
from emolib.experiments.shifts import Measured, agreeing
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, cosine, mean_by_emotion, principal_components, unit

BEFORE, PLACEBO = "before", "placebo"
TRAININGS = ("composed", "exuberant", "flat", PLACEBO)
# So many of the rated words stand for high arousal, and as many for low.
N_EXTREME = 15
# What each training was expected to shift, written down with the ledger before any was run.
EXPECTED = {
    "composed": {"arousal_down": "arousal", "calm_up": "calm", "reflective_up": "reflective"},
    "exuberant": {"arousal_up": "arousal", "calm_down": "calm"},
}
QUANTITIES = ("arousal", "calm", "reflective")
# Whose readings are shown token by token.
SHOWN = ("calm", "reflective", "brooding", "exuberant")
# The emotion space of a layer: the leading principal components of its unit vectors.
N_COMPONENTS = 10
# Random subspaces cost a decomposition each; these are enough for a band.
N_SUBSPACES = 200


@dataclass(frozen=True)
class Shifted:
    """What one model reads before replying, and what its replies carry.

    `messages` (n_messages, n_layers, width) and `chats` (n_chats, width; at the read-out layer) are
    states just before the reply; `words` (n_chats, width) states of the untrained model over the
    sampled `replies` to the chats, without the messages.
    """

    messages: np.ndarray
    chats: np.ndarray
    words: np.ndarray
    replies: tuple[str, ...]


@dataclass(frozen=True)
class Examined:
    """A closer look at one model.

    `likelihoods` (n_chats,) of its replies for the untrained model; `stories` (n_stories, n_layers,
    width); `tokens` per message a list of a token's text, part and state (width,).
    """

    likelihoods: np.ndarray
    stories: np.ndarray
    tokens: tuple[list[tuple[str, str, np.ndarray]], ...]


@dataclass(frozen=True)
class Preferring:
    """What one model says about activities.

    Log-probabilities of the words of the disposition instrument: `answers` (n_frames, n_items, n_words),
    and `pushed` (n_items, 1 + n_emotions, n_words) in the first frame with the activity's tokens pushed
    along an emotion's vector, after none; `states` (n_items, width) over the activities, in the layer of
    the push.
    """

    answers: np.ndarray
    states: np.ndarray
    pushed: np.ndarray


@dataclass(frozen=True)
class Moved:
    """What one training shifts in one layer, in cosines.

    `before` and `after` are (n_messages, n_emotions), `arousal` (n_messages,) the shift along the axis
    of arousal, `null` (n_messages, n_directions) that of random directions.
    """

    before: np.ndarray
    after: np.ndarray
    arousal: np.ndarray
    null: np.ndarray

    @classmethod
    def of(
        cls, before: np.ndarray, after: np.ndarray, vectors: np.ndarray, axis: np.ndarray, null: np.ndarray
    ) -> "Moved":
        """From states (n_messages, width), vectors (n_emotions, width), axis (width,) and directions."""
        return cls(
            before=cosine(before, vectors),
            after=cosine(after, vectors),
            arousal=cosine(after, axis) - cosine(before, axis),
            null=cosine(after, null) - cosine(before, null),
        )

    @property
    def shift(self) -> np.ndarray:
        """After minus before, (n_messages, n_emotions)."""
        return self.after - self.before

    @property
    def unit(self) -> float:
        """Spread of the random directions' mean shifts. Raises EmolibError where nothing has shifted."""
        spread = float(self.null.mean(axis=0).std(ddof=1))
        if not spread > 0:
            raise EmolibError("the two models read the same everywhere; was the training applied?")
        return spread

    def along(self, what: str, vectors: EmotionVectors) -> np.ndarray:
        """The shifts (n_messages,) of one emotion, or along the axis of arousal."""
        return self.arousal if what == "arousal" else self.shift[:, vectors.index(what)]


def run(
    shifted: Mapping[int, Mapping[str, Shifted]],
    examined: Mapping[str, Examined],
    preferring: Mapping[str, Preferring],
    changes: Mapping[str, Mapping[str, np.ndarray]],
    losses: pd.DataFrame,
    kinds: Sequence[str],
    chats: pd.DataFrame,
    deep_dives: Sequence[str],
    story_emotions: Sequence[str],
    pushed_emotions: Sequence[str],
    neutral: np.ndarray,
    vectors: EmotionVectors,
    ratings: pd.DataFrame,
    paper: pd.Series,
    layer: int,
    middle_layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """The tables and claims of the trainings.

    `shifted` holds by seed, and then for `before` and every training, what was read; claims are judged
    on the first seed. The rest is of that seed: `examined`, `preferring` (the emotions pushed are
    `pushed_emotions`) and, by training, `changes` of the stream (see
    `emolib.weight_changes.in_stream`; empty where they cannot be had). `kinds` (n_messages,) names
    the kind of every message, `chats` has id and message of the unseen chats, `deep_dives` the names of
    the messages read token by token, `story_emotions` the emotion of every story read again. `neutral`
    (n_chats, n_layers, width) are neutral states, `ratings` human ratings and `paper` the paper's
    shifts, both by emotion.
    """
    rngs = iter(np.random.default_rng(seed).spawn(4))
    layers = vectors.layers
    directions = [
        stats.random_directions(vectors.at(at), scale.n_null, rng)
        for at, rng in zip(layers, next(rngs).spawn(len(layers)), strict=True)
    ]

    def moved(models: Mapping[str, Shifted], training: str, at: int) -> Moved:
        i = layers.index(at)
        before, after = (models[name].messages[:, i] for name in (BEFORE, training))
        axis = arousal_axis(vectors, ratings.arousal, at)
        return Moved.of(before, after, vectors.at(at), axis, directions[i])

    strained = np.asarray(kinds) != shifts.NEUTRAL
    by_seed = {}
    for each, rng in zip(shifted, next(rngs).spawn(len(shifted)), strict=True):
        at_layer = {training: moved(shifted[each], training, layer) for training in TRAININGS}
        *of_pairs, of_text = rng.spawn(len(TRAININGS) + 1)
        agreements = {
            training: shifts.agreement(
                pair.before, pair.after, strained, vectors.names, ratings, paper, scale, own
            )
            for (training, pair), own in zip(at_layer.items(), of_pairs, strict=True)
        }
        texts = _text_shifts(shifted[each], vectors, layer, scale, of_text)
        by_seed[each] = at_layer, agreements, texts
    judged = {each: _claims(*found, vectors) for each, found in by_seed.items()}
    first = next(iter(shifted))
    read, (at_layer, agreements, _) = shifted[first], by_seed[first]
    readings = {name: shifts.readings(each.messages, vectors) for name, each in read.items()}
    tables = {
        "losses": losses,
        "shifts": pd.concat(
            [
                shifts.by_emotion(
                    each.before, each.after, each.null, strained, vectors.names, paper, training=training
                )
                for training, each in at_layer.items()
            ],
            ignore_index=True,
        ),
        "expected": _expected_table(at_layer, vectors),
        "agreement": pd.concat(
            [shifts.table(each, training=training) for training, each in agreements.items()],
            ignore_index=True,
        ),
        "by_layer": _layer_table({(t, at): moved(read, t, at) for t in TRAININGS for at in layers}, vectors),
        "layer_similarity": pd.concat(
            [shifts.between_layers(readings[BEFORE], readings[t], layers, training=t) for t in TRAININGS],
            ignore_index=True,
        ),
        "rotation": _rotation_table(examined, story_emotions, vectors),
        "weights": _weight_table(changes, vectors, neutral, scale, next(rngs)),
        "preferences": _preference_table(
            preferring, pushed_emotions, vectors, middle_layer, scale, next(rngs)
        ),
        "text_shifts": _text_table(read, vectors, layer),
        "text_specificity": _specificity_table(shifted, vectors.at(layer)),
        "replies": reply_table(
            chats, {name: (each.replies, examined[name].likelihoods) for name, each in read.items()}
        ),
        "tokens": _token_table(examined, deep_dives, vectors, layer),
        "by_seed": seed_table(judged),
    }
    return Outcome(tables, judged[first])


def arousal_axis(vectors: EmotionVectors, arousal: pd.Series, layer: int) -> np.ndarray:
    """Mean unit vector of the rated words of highest arousal minus that of the lowest, (width,)."""
    ranked = arousal[[name for name in arousal.index if name in vectors.names]].sort_values(kind="stable")
    if len(ranked) < 2 * N_EXTREME:
        raise EmolibError(
            f"{len(ranked)} of the vectors have a rating of arousal, {2 * N_EXTREME} are needed"
        )
    rows = [vectors.names.index(name) for name in ranked.index]
    units = unit(vectors.at(layer))
    return units[rows[-N_EXTREME:]].mean(axis=0) - units[rows[:N_EXTREME]].mean(axis=0)


def seed_table(judged: Mapping[int, Sequence[Claim]]) -> pd.DataFrame:
    """Every claim of every seed: estimate, interval, null band and the verdict that it would get."""
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "claim": claim.id,
                "estimate": claim.estimate,
                "low": claim.ci[0],
                "high": claim.ci[1],
                "null_low": claim.null.low,
                "null_high": claim.null.high,
                "verdict": claim.verdict,
            }
            for seed, claims in judged.items()
            for claim in claims
        ]
    )


def _claims(
    moved: Mapping[str, Moved],
    agreements: Mapping[str, Mapping[str, Measured]],
    texts: Mapping[str, Measured],
    vectors: EmotionVectors,
) -> list[Claim]:
    """The claims of one seed."""
    placebo = moved[PLACEBO]
    flat = _evidence("posttraining.placebo.arousal_flat", placebo.arousal / placebo.unit, placebo)
    return [
        *(
            _shift_claim(f"posttraining.{training}.{name}", what, moved[training], placebo, vectors)
            for training, expected in EXPECTED.items()
            for name, what in expected.items()
        ),
        judge(flat),
        *(
            judge(found.evidence(f"posttraining.{training}.{name}"))
            for training in EXPECTED
            for name, found in (
                ("shift_consistency_r", agreements[training]["shift_consistency_r"]),
                ("shift_predicts_text_r", texts[training]),
            )
        ),
    ]


def _text_shifts(models: Mapping[str, Shifted], vectors, layer, scale: Scale, rng) -> dict[str, Measured]:
    """Does the shift before the reply go with the shift in what is written, by training."""

    def measure(training: str, own) -> Measured:
        before_reply, in_text = _chat_shifts(models, training, vectors.at(layer))
        return shifts.correlation(
            lambda chats: (before_reply[chats].mean(axis=0), in_text[chats].mean(axis=0)),
            np.arange(len(in_text)),
            scale,
            own,
        )

    return {t: measure(t, own) for t, own in zip(EXPECTED, rng.spawn(len(EXPECTED)), strict=True)}


def _chat_shifts(
    models: Mapping[str, Shifted], training: str, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shifts just before the replies to the unseen chats and in their words, (n_chats, n_emotions) each."""
    after, before = models[training], models[BEFORE]
    return (
        cosine(after.chats, vectors) - cosine(before.chats, vectors),
        cosine(after.words, vectors) - cosine(before.words, vectors),
    )


def _shift_claim(id: str, what: str, trained: Moved, placebo: Moved, vectors: EmotionVectors) -> Claim:
    shift, control = (each.along(what, vectors) / trained.unit for each in (trained, placebo))
    beside = Control(
        estimate=float(control.mean()),
        ci=stats.mean_t_interval(control),
        difference_ci=stats.mean_t_interval(shift - control),
    )
    return judge(_evidence(id, shift, trained).model_copy(update={"control": beside}))


def _evidence(id: str, shift: np.ndarray, trained: Moved) -> Evidence:
    """A mean shift (n_messages,) in the unit of its training, beside random directions."""
    estimate = float(shift.mean())
    return Evidence(
        id=id,
        estimate=estimate,
        ci=stats.mean_t_interval(shift),
        n=len(shift),
        null=held_against(
            "random directions in the span of the vectors", estimate, trained.null.mean(axis=0) / trained.unit
        ),
    )


def _expected_table(moved: Mapping[str, Moved], vectors: EmotionVectors) -> pd.DataFrame:
    """The quantities that the claims are about, for every training, in the unit of its own training."""
    rows = []
    for training, each in moved.items():
        null_low, null_high = stats.band(each.null.mean(axis=0) / each.unit)
        for what in QUANTITIES:
            values = each.along(what, vectors) / each.unit
            low, high = stats.mean_t_interval(values)
            rows.append(
                {
                    "training": training,
                    "what": what,
                    "z": values.mean(),
                    "low": low,
                    "high": high,
                    "null_low": null_low,
                    "null_high": null_high,
                    "n": len(values),
                }
            )
    return pd.DataFrame(rows)


def _layer_table(moved: Mapping[tuple[str, int], Moved], vectors: EmotionVectors) -> pd.DataFrame:
    """The same by layer, in cosines."""
    rows = []
    for (training, layer), each in moved.items():
        null_low, null_high = stats.band(each.null.mean(axis=0))
        for what in QUANTITIES:
            values = each.along(what, vectors)
            low, high = stats.mean_t_interval(values)
            rows.append(
                {
                    "training": training,
                    "layer": layer,
                    "what": what,
                    "shift": values.mean(),
                    "low": low,
                    "high": high,
                    "null_low": null_low,
                    "null_high": null_high,
                }
            )
    return pd.DataFrame(rows)


def _rotation_table(examined: Mapping[str, Examined], emotions: Sequence[str], vectors) -> pd.DataFrame:
    """Cosine between vectors made of the same stories before and after: middle and spread over emotions."""
    names = list(dict.fromkeys(emotions))

    def made(training: str) -> np.ndarray:
        means = mean_by_emotion(examined[training].stories, emotions, names)
        return means - means.mean(axis=0)

    before = made(BEFORE)
    rows = []
    for training in TRAININGS:
        for layer, cosines in zip(vectors.layers, shifts.rotation(before, made(training)), strict=True):
            low, middle, high = np.quantile(cosines, [0.05, 0.5, 0.95])
            rows.append({"training": training, "layer": layer, "median": middle, "low": low, "high": high})
    return pd.DataFrame(rows)


def _weight_table(changes, vectors: EmotionVectors, neutral: np.ndarray, scale: Scale, rng) -> pd.DataFrame:
    """Share of the squared change of a layer's reads and writes that lies in its emotion space.

    Beside random subspaces of the same dimension: anywhere, and spanned by mixtures of neutral states,
    because what a layer learns to read lies where its inputs lie. A layer reads what the one before it
    wrote.
    """
    n = min(scale.n_null, N_SUBSPACES)
    anywhere = np.linalg.qr(rng.standard_normal((n, neutral.shape[2], N_COMPONENTS)))[0]
    rows = []
    for i, layer in enumerate(vectors.layers):
        streams = {"writes": i} | ({"reads": i - 1} if i else {})
        for side, at in streams.items():
            space = principal_components(unit(vectors.array[:, at]), 1.0)[:N_COMPONENTS]
            states = unit(neutral[:, at] - neutral[:, at].mean(axis=0, dtype=np.float64))
            mixed = states.T @ rng.standard_normal((n, len(states), N_COMPONENTS))
            bases = {"null": anywhere, "stream": np.linalg.qr(mixed)[0]}
            for training in changes:
                change = changes[training][side][i]
                whole = np.sum(change**2)
                row = {"training": training, "layer": layer, "side": side}
                row["share"] = np.sum((change @ space.T) ** 2) / whole
                for kind, basis in bases.items():
                    drawn = np.sum((change @ basis) ** 2, axis=(1, 2)) / whole
                    row[f"{kind}_low"], row[f"{kind}_high"] = stats.band(drawn)
                rows.append(row)
    columns = ["training", "layer", "side", "share", "null_low", "null_high", "stream_low", "stream_high"]
    return pd.DataFrame(rows, columns=columns).sort_values(["training", "layer", "side"], ignore_index=True)


def _preference_table(
    preferring: Mapping[str, Preferring], pushed: Sequence[str], vectors, layer: int, scale: Scale, rng
) -> pd.DataFrame:
    """Whether the model answers steadily, prefers the same, and vectors still predict and move answers."""
    members = [vectors.index(name) for name in pushed]
    rows = []
    before = None
    for (training, each), own in zip(preferring.items(), rng.spawn(len(preferring)), strict=True):
        found = reliability(log_odds(each.answers))
        scores = disposition_scores(each.answers)
        r = correlations(centred_cosine(each.states, vectors.at(layer)), scores)
        if before is None:
            before = scores, r
        odds = log_odds(each.pushed)
        effects = (odds[:, 1:] - odds[:, :1]).mean(axis=0)
        low, high = stats.pearson_interval(effects, r[members], scale.n_bootstrap, own)
        rows.append(
            {
                "training": training,
                "reliability": found,
                "valid": found >= LEAST_RELIABILITY,
                "scores_r": stats.pearson(scores, before[0]),
                **{name: r[vectors.index(name)] for name in ALWAYS},
                "probes_r": stats.pearson(r, before[1]),
                "steering_r": stats.pearson(effects, r[members]),
                "steering_low": low,
                "steering_high": high,
                "n": len(scores),
            }
        )
    return pd.DataFrame(rows)


def _text_table(models: Mapping[str, Shifted], vectors: EmotionVectors, layer: int) -> pd.DataFrame:
    """Every emotion's mean shift just before the reply and in the words of the reply."""
    tables = []
    for training in TRAININGS:
        before_reply, in_text = _chat_shifts(models, training, vectors.at(layer))
        tables.append(
            pd.DataFrame(
                {
                    "training": training,
                    "emotion": vectors.names,
                    "before_reply": before_reply.mean(axis=0),
                    "in_text": in_text.mean(axis=0),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _specificity_table(shifted: Mapping[int, Mapping[str, Shifted]], vectors: np.ndarray) -> pd.DataFrame:
    """How well the shift before one training's replies agrees with that in the words of another's, by seed.

    `r` is over emotions; `what` says whether of the whole shifts or of what goes beyond the placebo's.
    """
    rows = []
    for seed, models in shifted.items():
        whole = {
            training: [each.mean(axis=0) for each in _chat_shifts(models, training, vectors)]
            for training in TRAININGS
        }
        common = whole[PLACEBO]
        beyond = {t: np.subtract(whole[t], common) for t in TRAININGS if t != PLACEBO}
        for what, means in (("whole shifts", whole), (f"beyond the {PLACEBO}", beyond)):
            for reading, text in product(means, means):
                r = agreeing(means[reading][0], means[text][1])
                rows.append({"seed": seed, "what": what, "reading": reading, "text": text, "r": r})
    return pd.DataFrame(rows)


def reply_table(messages: pd.DataFrame, said: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> pd.DataFrame:
    """Every sampled reply, how likely the untrained model finds it, and how little it repeats itself.

    `said` holds by training the replies to the messages and their likelihoods.
    """
    return pd.concat(
        [
            messages.assign(
                training=training,
                reply=replies,
                log_probability=likelihoods,
                distinct=[distinct(reply) for reply in replies],
            )
            for training, (replies, likelihoods) in said.items()
        ],
        ignore_index=True,
    )


def _token_table(
    examined: Mapping[str, Examined], names: Sequence[str], vectors: EmotionVectors, layer: int
) -> pd.DataFrame:
    """Reading of a few emotions at every token of a few messages, before and after every training."""
    at = vectors.at(layer)[[vectors.index(name) for name in SHOWN]]
    rows = [
        (prompt, position, token, part, training, emotion, reading)
        for training, each in examined.items()
        for prompt, tokens in zip(names, each.tokens, strict=True)
        for position, (token, part, state) in enumerate(tokens)
        for emotion, reading in zip(SHOWN, cosine(state, at), strict=True)
    ]
    columns = ["prompt", "position", "token", "part", "training", "emotion", "reading"]
    return pd.DataFrame(rows, columns=columns)
