"""Does training on flat replies remove the reading of an emotion, or only the words for it?

The paper's authors warn (in its discussion) that training a model against expression may teach it to
mask. Here a model is trained on replies without feeling and then shown emotional messages. The contrast
of a message is the reading of the vector that fits it less the mean reading of the other emotions'
vectors, each centred over the messages. It is taken just before the reply, over the model's own reply,
and over the words alone as the untrained model reads them. What counts is the share of the untrained
model's contrast that is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emolib import stats
from emolib.claims import Claim, Control, Evidence, held_against, judge
from emolib.experiments.posttraining import BEFORE, PLACEBO, reply_table, seed_table
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import (
    NEUTRAL_SHARE,
    EmotionVectors,
    cosine,
    mean_by_emotion,
    principal_components,
    project_out,
)

FLAT = "flat"
TRAININGS = (FLAT, PLACEBO, "composed")
PLACES = {"before": "before the reply", "during": "over its own reply", "words": "words alone"}
STORY, DEFLECTION = "story", "deflection"


@dataclass(frozen=True)
class Voice:
    """One model on emotional messages.

    States `before` the reply (n_messages, n_layers, width), of the model itself over its own sampled
    `replies` (`during`, (n_messages, width), at the read-out layer), and of the untrained model over
    the same replies without their messages (`words`). `likelihoods` (n_messages,) are the replies' mean
    log-probabilities per token for the untrained model.
    """

    before: np.ndarray
    during: np.ndarray
    words: np.ndarray
    replies: tuple[str, ...]
    likelihoods: np.ndarray


def run(
    voices: Mapping[int, Mapping[str, Voice]],
    losses: pd.DataFrame,
    messages: pd.DataFrame,
    hidden: np.ndarray,
    felt: Sequence[str],
    neutral: np.ndarray,
    vectors: EmotionVectors,
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """The tables and claims of suppression.

    `voices` holds by seed, and then for `before` and every training, what the model read and said; the
    first seed is judged, of the others `before` and `flat` are enough. `messages` has id, emotion and
    message. `hidden` (n_dialogues, width) are states over the lines of somebody who hides the emotion
    `felt`; deflection vectors are made of them. `neutral` (n_chats, n_layers, width) are neutral states.
    """
    rngs = iter(np.random.default_rng(seed).spawn(3))
    emotions = messages.emotion.to_numpy()
    at = vectors.layers.index(layer)
    sets = {
        STORY: {name: vectors.at(layer)[vectors.index(name)] for name in dict.fromkeys(emotions)},
        DEFLECTION: _deflection(hidden, felt, neutral[:, at], set(emotions)),
    }
    judged = {
        each: _claims(models, emotions, sets[STORY], at, scale, rng)
        for (each, models), rng in zip(voices.items(), next(rngs).spawn(len(voices)), strict=True)
    }
    first = next(iter(voices))
    found = {
        (training, place, kind): contrasts(_at(voice, place, at), emotions, made)
        for kind, made in sets.items()
        for training, voice in voices[first].items()
        for place in PLACES
    }
    tables = {
        "losses": losses,
        "contrasts": _contrast_table(found, voices[first], emotions, sets, at, scale, next(rngs)),
        "by_emotion": _emotion_table(found, emotions),
        "by_layer": _layer_table(voices[first], emotions, vectors),
        "replies": reply_table(
            messages, {name: (each.replies, each.likelihoods) for name, each in voices[first].items()}
        ),
        "by_seed": seed_table(judged),
    }
    return Outcome(tables, judged[first])


def contrasts(states: np.ndarray, emotions: Sequence[str], made: Mapping[str, np.ndarray]) -> np.ndarray:
    """How far each message's own vector reads above the others, (n_messages,).

    `states` is (n_messages, width), `made` a vector (width,) per emotion. Readings are cosines, centred
    over the messages whose emotion has a vector; the others are NaN.
    """
    names = list(made)
    members = np.isin(emotions, names)
    read = cosine(states[members], np.stack(list(made.values())))
    read = read - read.mean(axis=0)
    own = np.array([names.index(emotion) for emotion in np.asarray(emotions)[members]])
    fits = read[np.arange(len(own)), own]
    found = np.full(len(emotions), np.nan)
    found[members] = fits - (read.sum(axis=1) - fits) / (len(names) - 1)
    return found


def _deflection(hidden: np.ndarray, felt: Sequence[str], neutral: np.ndarray, wanted: set[str]) -> dict:
    """A vector of every wanted emotion that is hidden in some dialogue, made as the story vectors are."""
    names = list(dict.fromkeys(felt))
    means = mean_by_emotion(hidden, felt, names)
    made = project_out(means - means.mean(axis=0), principal_components(neutral, NEUTRAL_SHARE))
    return {name: vector for name, vector in zip(names, made, strict=True) if name in wanted}


def _at(voice: Voice, place: str, layer: int) -> np.ndarray:
    states = getattr(voice, place)
    return states[:, layer] if states.ndim == 3 else states


def _claims(models: Mapping[str, Voice], emotions, made, at: int, scale: Scale, rng) -> list[Claim]:
    """What is left of the reading and of the words after training on flat replies."""
    of_null, of_share = rng.spawn(2)
    pairs = {
        place: tuple(contrasts(_at(models[name], place, at), emotions, made) for name in (BEFORE, FLAT))
        for place in ("before", "words")
    }
    drawn = _drawn_shares(pairs, scale, of_share)
    shares = {place: float(after.mean() / before.mean()) for place, (before, after) in pairs.items()}
    beside = Control(
        estimate=shares["words"],
        ci=stats.band(drawn["words"]),
        difference_ci=stats.band(drawn["before"] - drawn["words"]),
    )
    # A share of nothing says nothing: the untrained model must show the contrast, and so must its control.
    shown = {place: stats.mean_t_interval(before)[0] > 0 for place, (before, _) in pairs.items()}
    found = []
    for id, place, control, valid in (
        ("posttraining.suppression.reading_kept", "before", beside, all(shown.values())),
        ("posttraining.suppression.words_kept", "words", None, shown["words"]),
    ):
        before, after = pairs[place]
        null = _shuffled(_at(models[FLAT], place, at), emotions, made, scale, of_null) / before.mean()
        found.append(
            judge(
                Evidence(
                    id=id,
                    estimate=shares[place],
                    ci=stats.band(drawn[place]),
                    n=len(after),
                    null=held_against("emotions shuffled among the messages", shares[place], null),
                    control=control,
                    valid=valid,
                )
            )
        )
    return found


def _drawn_shares(pairs: Mapping, scale: Scale, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Shares on messages drawn with replacement, the same messages at every place, (n_draws,) each."""
    n = len(next(iter(pairs.values()))[0])
    drawn = rng.integers(0, n, (scale.n_bootstrap, n))
    return {
        place: after[drawn].mean(axis=1) / before[drawn].mean(axis=1)
        for place, (before, after) in pairs.items()
    }


def _shuffled(states: np.ndarray, emotions, made, scale: Scale, rng: np.random.Generator) -> np.ndarray:
    """Mean contrasts with the emotions shuffled among the messages that have a vector, (n_null,)."""
    members = np.isin(emotions, list(made))
    states, emotions = states[members], np.asarray(emotions)[members]
    return np.array([contrasts(states, rng.permutation(emotions), made).mean() for _ in range(scale.n_null)])


def _contrast_table(found, models, emotions, sets, at: int, scale: Scale, rng) -> pd.DataFrame:
    """Mean contrast by training, place and kind of vector, and the share of the untrained model's."""
    rows = []
    for (training, place, kind), own in zip(found, rng.spawn(len(found)), strict=True):
        members = np.isfinite(found[training, place, kind])
        values, before = (found[name, place, kind][members] for name in (training, BEFORE))
        (share,) = _drawn_shares({place: (before, values)}, scale, own).values()
        null = _shuffled(_at(models[training], place, at), emotions, sets[kind], scale, own)
        low, high = stats.mean_t_interval(values)
        share_low, share_high = stats.band(share)
        null_low, null_high = stats.band(null)
        rows.append(
            {
                "training": training,
                "place": PLACES[place],
                "vectors": kind,
                "contrast": values.mean(),
                "low": low,
                "high": high,
                "share": values.mean() / before.mean(),
                "share_low": share_low,
                "share_high": share_high,
                "null_low": null_low,
                "null_high": null_high,
                "n": len(values),
            }
        )
    return pd.DataFrame(rows)


def _emotion_table(found: Mapping, emotions: np.ndarray) -> pd.DataFrame:
    """Mean contrast of every emotion's messages, story vectors."""
    return pd.DataFrame(
        [
            {
                "training": training,
                "place": PLACES[place],
                "emotion": emotion,
                "contrast": values[emotions == emotion].mean(),
                "n": int(np.sum(emotions == emotion)),
            }
            for (training, place, kind), values in found.items()
            if kind == STORY
            for emotion in dict.fromkeys(emotions)
        ]
    )


def _layer_table(models: Mapping[str, Voice], emotions, vectors: EmotionVectors) -> pd.DataFrame:
    """Contrast just before the reply in every layer."""
    rows = []
    for training, voice in models.items():
        for i, layer in enumerate(vectors.layers):
            made = {name: vectors.at(layer)[vectors.index(name)] for name in dict.fromkeys(emotions)}
            values = contrasts(voice.before[:, i], emotions, made)
            low, high = stats.mean_t_interval(values)
            rows.append(
                {"training": training, "layer": layer, "contrast": values.mean(), "low": low, "high": high}
            )
    return pd.DataFrame(rows)
