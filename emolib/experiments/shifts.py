"""What differs between two sets of weights of one model (paper, section 3.5, Figs. 36 and 84, Table 16).

Both read the same messages just before the reply. A reading is the cosine of the residual stream with
an emotion's vector, a shift is after minus before. Natural pairs, before and after their makers'
post-training, and pairs that were trained here are measured alike; the ledger holds the definitions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from emolib import stats
from emolib.claims import Evidence, Null, held_against
from emolib.errors import EmolibError
from emolib.profiles import Scale
from emolib.vectors import EmotionVectors, cosine, unit

MEASURES = (
    "neutral_r",
    "challenging_r",
    "shift_consistency_r",
    "shift_larger_under_strain",
    "shift_vs_valence_r",
    "shift_vs_arousal_r",
    "paper_rank_r",
)
NEUTRAL, CHALLENGING, ALL = "neutral", "challenging", "all"
# With fewer of a kind, a random half of all messages may hold none of it.
LEAST_OF_A_KIND = 20


@dataclass(frozen=True)
class Measured:
    """One measure of a pair of models: its estimate, 95 % interval, n and null."""

    estimate: float
    ci: tuple[float, float]
    n: int
    null: Null

    def evidence(self, id: str) -> Evidence:
        """The same as evidence for a claim of the ledger."""
        return Evidence(id=id, estimate=self.estimate, ci=self.ci, n=self.n, null=self.null)


def agreement(
    before: np.ndarray,
    after: np.ndarray,
    challenging: np.ndarray,
    names: Sequence[str],
    ratings: pd.DataFrame,
    paper: pd.Series,
    scale: Scale,
    rng: np.random.Generator,
) -> dict[str, Measured]:
    """How far two models read the same messages alike, and what their shifts agree with.

    `before` and `after` are cosines (n_messages, n_emotions), `challenging` says of every message
    whether it puts the assistant under strain, `names` are the emotions. `ratings` (pleasure, arousal)
    and `paper` (the paper's shifts) are indexed by emotion and may hold only some of them. Returns one
    `Measured` per name in `MEASURES`; n counts messages, and rated words where ratings are used.
    Raises EmolibError for too few messages or rated words, and where nothing has shifted.
    """
    challenging, names = np.asarray(challenging, dtype=bool), list(names)
    shift = after - before
    _check(shift, challenging)
    neutral, strained = np.flatnonzero(~challenging), np.flatnonzero(challenging)
    rated = [name for name in names if name in ratings.index]
    listed = [name for name in names if name in paper.index]
    if len(rated) < 3 or len(listed) < 3:
        raise EmolibError(
            f"of {len(names)} emotions {len(rated)} are rated and {len(listed)} in the paper's table; "
            "at least three of each are needed"
        )
    in_paper, ranks = [names.index(name) for name in listed], rankdata(paper[listed])
    mean_rated = shift.mean(axis=0)[[names.index(name) for name in rated]]
    draws = dict(zip(MEASURES, rng.spawn(len(MEASURES)), strict=True))

    def readings(messages):
        return before[messages].mean(axis=0), after[messages].mean(axis=0)

    def shifts_by_kind(messages):
        return tuple(shift[messages[challenging[messages] == kind]].mean(axis=0) for kind in (False, True))

    def rank_and_papers(messages):
        return rankdata(shift[messages][:, in_paper].mean(axis=0)), ranks

    every = np.arange(len(shift))
    found = {
        name: correlation(profiles, messages, scale, draws[name])
        for name, profiles, messages in (
            ("neutral_r", readings, neutral),
            ("challenging_r", readings, strained),
            ("shift_consistency_r", shifts_by_kind, every),
            ("paper_rank_r", rank_and_papers, every),
        )
    }
    found["shift_larger_under_strain"] = _larger(
        shift, challenging, scale, draws["shift_larger_under_strain"]
    )
    for rating, name in (("pleasure", "shift_vs_valence_r"), ("arousal", "shift_vs_arousal_r")):
        found[name] = _with_rating(mean_rated, ratings[rating][rated].to_numpy(), scale, draws[name])
    return {name: found[name] for name in MEASURES}


def correlation(
    profiles: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    messages: np.ndarray,
    scale: Scale,
    rng: np.random.Generator,
) -> Measured:
    """Correlation over emotions of two profiles, each a mean over messages.

    `profiles` gives both, (n_emotions,), from the indices of some messages. The interval is over
    messages; drawing the same one twice would count its noise twice, hence random halves. In the null
    the emotions of one profile are shuffled. A profile that is the same for all emotions, as where no
    reply has changed, agrees with nothing: 0.
    """
    x, y = profiles(messages)
    estimate = agreeing(x, y)
    interval = stats.half_sample_interval(
        lambda half: agreeing(*profiles(messages[half])),
        estimate,
        len(messages),
        scale.n_bootstrap,
        rng,
    )
    drawn = stats.permuted_correlations(x, y, scale.n_null, rng) if _vary(x, y) else np.zeros(scale.n_null)
    null = held_against("emotions shuffled in one of the two", estimate, drawn)
    return Measured(estimate, interval, len(messages), null)


def agreeing(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation, or 0 where one is the same for all: what has not shifted agrees with nothing."""
    return stats.pearson(x, y) if _vary(x, y) else 0.0


def readings(states: np.ndarray, vectors: EmotionVectors) -> np.ndarray:
    """Cosines (n_messages, n_layers, n_emotions) of states (n_messages, n_layers, width) with vectors."""
    return np.stack([cosine(states[:, i], vectors.at(at)) for i, at in enumerate(vectors.layers)], axis=1)


def kinds(challenging: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Names of the kinds of message, all together last, and which messages (n_messages,) are of each."""
    yield NEUTRAL, ~challenging
    yield CHALLENGING, challenging
    yield ALL, np.ones_like(challenging)


def by_emotion(
    before: np.ndarray,
    after: np.ndarray,
    null: np.ndarray,
    challenging: np.ndarray,
    names: Sequence[str],
    paper: pd.Series,
    **labels,
) -> pd.DataFrame:
    """Mean readings and shift of every emotion by kind of message, with interval, null and paper's shift.

    `before` and `after` are cosines (n_messages, n_emotions), `null` (n_messages, n_directions) shifts of
    random directions, `paper` the paper's shifts by emotion.
    """
    tables = []
    for kind, members in kinds(challenging):
        shift = (after - before)[members]
        low, high = np.transpose([stats.mean_t_interval(each) for each in shift.T])
        null_low, null_high = stats.band(null[members].mean(axis=0))
        tables.append(
            pd.DataFrame(
                {
                    **labels,
                    "kind": kind,
                    "emotion": names,
                    "before": before[members].mean(axis=0),
                    "after": after[members].mean(axis=0),
                    "shift": shift.mean(axis=0),
                    "low": low,
                    "high": high,
                    "null_low": null_low,
                    "null_high": null_high,
                    "n": len(shift),
                }
            ).join(paper.rename("paper"), on="emotion")
        )
    return pd.concat(tables, ignore_index=True)


def between_layers(before: np.ndarray, after: np.ndarray, layers: Sequence[int], **labels) -> pd.DataFrame:
    """Correlation `r` over emotions of the mean shifts in every two layers, `layer` and `other` (Fig. 84).

    `before` and `after` are cosines (n_messages, n_layers, n_emotions).
    """
    layer, other = np.meshgrid(layers, layers, indexing="ij")
    r = np.corrcoef((after - before).mean(axis=0))
    return pd.DataFrame({**labels, "layer": layer.ravel(), "other": other.ravel(), "r": r.ravel()})


def rotation(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Cosine of an emotion's vector made on one model with that made on the other, (n_layers, n_emotions).

    Both are vectors (n_emotions, n_layers, width).
    """
    return np.sum(unit(before) * unit(after), axis=-1).T


def table(measured: dict[str, Measured], **labels) -> pd.DataFrame:
    """One row per measure: the labels, measure, estimate, low, high, null_low, null_high, n."""
    return pd.DataFrame(
        [
            {
                **labels,
                "measure": name,
                "estimate": each.estimate,
                "low": each.ci[0],
                "high": each.ci[1],
                "null_low": each.null.low,
                "null_high": each.null.high,
                "n": each.n,
            }
            for name, each in measured.items()
        ]
    )


def _vary(*profiles: np.ndarray) -> bool:
    return all(np.ptp(profile) > 0 for profile in profiles)


def _check(shift: np.ndarray, challenging: np.ndarray) -> None:
    fewest = min(challenging.sum(), (~challenging).sum())
    if fewest < LEAST_OF_A_KIND:
        raise EmolibError(
            f"{challenging.sum()} challenging messages and {(~challenging).sum()} neutral ones; "
            f"at least {LEAST_OF_A_KIND} of each kind are needed"
        )
    if not shift.mean(axis=0).std() > 0:
        raise EmolibError("the two models read the same everywhere; are they the same weights?")


def _larger(shift: np.ndarray, challenging: np.ndarray, scale: Scale, rng: np.random.Generator) -> Measured:
    """How much wider the mean shifts spread under strain.

    Fewer messages leave more noise in a mean, which widens its spread; the shuffled null has the same
    two numbers of messages and so the same noise.
    """

    def difference(messages: np.ndarray, kinds: np.ndarray) -> float:
        strained, neutral = shift[messages[kinds]], shift[messages[~kinds]]
        return float(strained.mean(axis=0).std() - neutral.mean(axis=0).std())

    every = np.arange(len(shift))
    estimate = difference(every, challenging)
    interval = stats.half_sample_interval(
        lambda half: difference(half, challenging[half]), estimate, len(every), scale.n_bootstrap, rng
    )
    drawn = np.array([difference(every, rng.permutation(challenging)) for _ in range(scale.n_null)])
    null = held_against("the two kinds of message shuffled", estimate, drawn)
    return Measured(estimate, interval, len(every), null)


def _with_rating(shift: np.ndarray, rating: np.ndarray, scale: Scale, rng: np.random.Generator) -> Measured:
    """Correlation of shifts with a human rating over words, (n_words,) each; the interval is over words."""
    estimate = stats.pearson(shift, rating)
    interval = stats.pearson_interval(shift, rating, scale.n_bootstrap, rng)
    drawn = stats.permuted_correlations(shift, rating, scale.n_null, rng)
    null = held_against("ratings shuffled among the words", estimate, drawn)
    return Measured(estimate, interval, len(shift), null)
