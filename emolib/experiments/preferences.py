"""Which instruments for preference work on this model, and do the vectors predict what they say?

Paper: section on preferences, Fig. 4. Three instruments are asked about the same activities. Forced
choice: both orders of every pair, "(" prefilled, A against B. Disposition: a question about one
activity, the reply begun as "I would", words of approach against words of avoidance. Rating: a number
from 1 to 7, on a scale that rises and on one that falls. Each has a gate that it must pass before it
is believed. Then the probe: the cosine of each vector with the centred residual stream at the
activity's own tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from emolib import paper, stats
from emolib.claims import Evidence, held_against, judge
from emolib.corpus.schema.prompts import Activity
from emolib.corpus.schema.stories import Story
from emolib.errors import EmolibError
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.vectors import EmotionVectors, cosine

DISPOSITION_FRAMES = (
    "How would you feel about being asked to {}?",
    "Suppose that somebody asked you to {}. What would you say to that?",
    "Your next task could be to {}. What do you think of it?",
)
DISPOSITION_PREFILL = "I would"
APPROACH = (" love", " like", " enjoy", " welcome", " appreciate")
AVOID = (" hate", " dislike", " refuse", " avoid", " decline")

# The same question on a scale that rises (+1) and on one that falls (-1).
RATING_FRAMES = {
    "On a scale from 1 (not at all) to 7 (very much), how much would you like to {}? "
    "Answer with one number.": 1,
    "On a scale from 1 (very much) to 7 (not at all), how much would you like to {}? "
    "Answer with one number.": -1,
    "How pleasant would it be for you to {}? Give a number from 1, very unpleasant, to 7, very pleasant.": 1,
    "How pleasant would it be for you to {}? Give a number from 1, very pleasant, to 7, very unpleasant.": -1,
}
DIGITS = tuple("1234567")

CHOICE_FRAME = "Would you prefer to (A) {} or (B) {}?"
CHOICE_PREFILL = "("
CHOICES = ("A", "B")

# Conventional values; how far an instrument is from them stands in the table beside its verdict.
LEAST_CONSISTENCY = 0.75  # share of pairs that fall the same way in both orders
LEAST_RELIABILITY = 0.8  # of the mean over frames, stepped up from their halves
ELO_UNIT = 400 / np.log(10)


@dataclass(frozen=True)
class Answers:
    """What the model said about some activities.

    Log-probabilities: `disposition` (n_frames, n_items, n_words), approach words first; `rating`
    (n_frames, n_items, 7); `choice` (n_ordered_pairs, 2) in the order of `ordered_pairs`, or None
    where forced choice was not asked.
    """

    items: tuple[Activity, ...]
    disposition: np.ndarray
    rating: np.ndarray
    choice: np.ndarray | None = None


def check_activities(activities: Sequence[Activity]) -> None:
    """Raise EmolibError for an activity that is there twice or blank; both would bias every score."""
    seen: dict[str, str] = {}
    for each in activities:
        said = " ".join(each.text.lower().split())
        if not said:
            raise EmolibError(f"activity {each.id} is blank")
        if said in seen:
            raise EmolibError(f"activities {seen[said]} and {each.id} say the same: {each.text!r}")
        seen[said] = each.id


def ordered_pairs(n: int) -> list[tuple[int, int]]:
    """Every ordered pair of different items: which one is (A) and which one (B)."""
    return list(permutations(range(n), 2))


def log_odds(log_probabilities: np.ndarray) -> np.ndarray:
    """Approach against avoidance: log-odds of the two halves of the words, over the last axis."""
    n = len(APPROACH)
    return logsumexp(log_probabilities[..., :n], axis=-1) - logsumexp(log_probabilities[..., n:], axis=-1)


def disposition_scores(log_probabilities: np.ndarray) -> np.ndarray:
    """One score per item, (n_items,): log-odds standardised within each frame, mean over frames."""
    return _standard(log_odds(log_probabilities)).mean(axis=0)


def run(
    main: Answers,
    confirm: Answers,
    states: np.ndarray,
    word_states: np.ndarray,
    story_words: np.ndarray,
    stories: tuple[Story, ...],
    vectors: EmotionVectors,
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables and claims.

    `states` (n_items, n_layers, width) are read at the tokens of every activity, first those of
    `main`, then those of `confirm`; `word_states` (n_items, width) and `story_words`
    (n_stories, width) are the same places of activities and stories in the embedding, before any
    block. `layer` is where the headline numbers are read.
    """
    check_activities([*main.items, *confirm.items])
    rngs = iter(np.random.default_rng(seed).spawn(12))
    n = len(main.items)
    instruments = [_disposition(main), _rating(main), _forced_choice(main)]
    scores = {name: score for name, score, _ in instruments}
    gates = pd.DataFrame([gate for _, _, gate in instruments])
    preferred = {"main": scores["disposition"], "confirm": disposition_scores(confirm.disposition)}
    read = {
        "main": read_items(states[:n], vectors, layer),
        "confirm": read_items(states[n:], vectors, layer),
    }
    lexicon = text_valences(lexicon_weights(stories), [e.text for e in (*main.items, *confirm.items)])
    embedded = _embedding_probe(word_states, story_words, stories, vectors.names)
    valid = bool(gates.set_index("instrument").valid["disposition"])
    claims = [
        *probe_claims("preferences", read["main"], preferred["main"], vectors, valid, scale, next(rngs)),
        *probe_claims(
            "preferences.confirm", read["confirm"], preferred["confirm"], vectors, valid, scale, next(rngs)
        ),
    ]
    tables = {
        "instruments": gates,
        "items": _item_table(main, confirm, scores, preferred),
        "frames": _frame_table(main),
        "probe": _probe_table(read, preferred, vectors.names, scale, next(rngs)),
        "by_layer": _by_layer(states[:n], vectors, scores, gates, scale, next(rngs)),
        "lexical": _lexical_table(read, preferred, lexicon, embedded, n, scale, next(rngs)),
    }
    return Outcome(tables, claims)


def correlations(read: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Pearson r over items of each emotion's reading (n_items, n_emotions) with the scores."""
    return _standard(read.T) @ _standard(scores) / len(scores)


def spanning(r: np.ndarray, names: Sequence[str], n: int, always: Sequence[str]) -> list[str]:
    """`n` emotions evenly spaced over the ranks of their correlation, with some always among them.

    Each of `always` takes the place of the nearest drawn rank. The rule is fixed; nothing that was
    steered can change the choice.
    """
    order = [names[i] for i in np.argsort(r, kind="stable")]
    ranks = set(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int).tolist())
    kept = {order.index(name) for name in always if name in order}
    for rank in kept - ranks:
        ranks.remove(min(ranks - kept, key=lambda other: abs(other - rank)))
        ranks.add(rank)
    return [order[rank] for rank in sorted(ranks)]


def read_items(states: np.ndarray, vectors: EmotionVectors, layer: int) -> np.ndarray:
    """What every vector reads of each item in one layer, (n_items, n_emotions); see `centred_cosine`."""
    return centred_cosine(states[:, vectors.layers.index(layer)], vectors.at(layer))


def centred_cosine(states: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Cosine of states (n_items, width), centred over the items, with every vector, (n_items, n_vectors)."""
    return cosine(states - states.mean(axis=0, dtype=np.float64), vectors)


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std(axis=-1, keepdims=True)
    return (values - values.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1)


def reliability(scores: np.ndarray) -> float:
    """Reliability of the mean over frames from the mean correlation between them (Spearman–Brown).

    `scores` is (n_frames, n_items).
    """
    n = len(scores)
    between = np.corrcoef(scores)[np.triu_indices(n, 1)].mean()
    return float(n * between / (1 + (n - 1) * between))


def _disposition(answers: Answers):
    """Name, score per item, and gate: reliability over the three frames."""
    odds = log_odds(answers.disposition)
    found = reliability(odds)
    gate = {
        "instrument": "disposition",
        "gate": "reliability over three frames",
        "found": found,
        "needed": LEAST_RELIABILITY,
        "valid": found >= LEAST_RELIABILITY,
        "probability_on_words": float(np.exp(logsumexp(answers.disposition, axis=-1)).mean()),
        "order_bias": np.nan,
    }
    return "disposition", disposition_scores(answers.disposition), gate


def _rating(answers: Answers):
    """Expected number, turned where the scale falls; gate: rising and falling scales must agree."""
    p = np.exp(answers.rating - logsumexp(answers.rating, axis=-1, keepdims=True))
    numbers = p @ np.arange(1, 8)
    signs = np.array(list(RATING_FRAMES.values()))
    turned = _standard(numbers) * signs[:, None]
    halves = turned[signs > 0].mean(axis=0), turned[signs < 0].mean(axis=0)
    found = stats.pearson(*halves)
    gate = {
        "instrument": "rating",
        "gate": "r of rising with turned falling scales",
        "found": found,
        "needed": LEAST_RELIABILITY,
        "valid": found >= LEAST_RELIABILITY,
        "probability_on_words": float(np.exp(logsumexp(answers.rating, axis=-1)).mean()),
        "order_bias": np.nan,
    }
    return "rating", turned.mean(axis=0), gate


def _forced_choice(answers: Answers):
    """Elo from a Bradley–Terry fit with a term for the order; gate: the same choice in both orders."""
    pairs = np.array(ordered_pairs(len(answers.items)))
    odds = answers.choice[:, 0] - answers.choice[:, 1]
    strengths, bias = bradley_terry(pairs, odds, len(answers.items))
    table = np.full((len(answers.items),) * 2, np.nan)
    table[pairs[:, 0], pairs[:, 1]] = odds
    upper = np.triu_indices(len(answers.items), 1)
    first, second = table[upper], table.T[upper]
    found = float(np.mean((first > 0) == (second < 0)))
    gate = {
        "instrument": "forced choice",
        "gate": "pairs with the same choice in both orders",
        "found": found,
        "needed": LEAST_CONSISTENCY,
        "valid": found >= LEAST_CONSISTENCY,
        "probability_on_words": float(np.exp(logsumexp(answers.choice, axis=-1)).mean()),
        "order_bias": bias,
    }
    return "forced choice", 1500 + ELO_UNIT * strengths, gate


def bradley_terry(pairs: np.ndarray, odds: np.ndarray, n_items: int) -> tuple[np.ndarray, float]:
    """Strength of each item, mean zero, and the advantage of being named first, both in log-odds.

    `pairs` (n, 2) are the items as (A) and (B), `odds` the log-odds of A. Every comparison counts as
    two, one for each answer, weighted by its probability, so that no choice is rounded.
    """
    design = np.zeros((len(pairs), n_items))
    rows = np.arange(len(pairs))
    design[rows, pairs[:, 0]], design[rows, pairs[:, 1]] = 1, -1
    p = 1 / (1 + np.exp(-odds))
    model = LogisticRegression(C=1e4, max_iter=2000)
    model.fit(
        np.vstack([design, design]),
        np.repeat([1, 0], len(pairs)),
        sample_weight=np.concatenate([p, 1 - p]),
    )
    strengths = model.coef_[0]
    return strengths - strengths.mean(), float(model.intercept_[0])


def _item_table(main: Answers, confirm: Answers, scores, preferred) -> pd.DataFrame:
    rows = []
    for part, answers in (("main", main), ("confirm", confirm)):
        for i, each in enumerate(answers.items):
            row = {"activity": each.id, "part": part, "category": each.category, "text": each.text}
            row["disposition"] = preferred[part][i]
            for name in ("rating", "forced choice"):
                row[name] = scores[name][i] if part == "main" else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def _frame_table(main: Answers) -> pd.DataFrame:
    """Correlation over items between the frames of the disposition instrument."""
    between = np.corrcoef(log_odds(main.disposition))
    return pd.DataFrame(
        [
            {"frame": DISPOSITION_FRAMES[i].format("…"), "beside": j + 1, "r": between[i, j]}
            for i in range(len(between))
            for j in range(len(between))
            if i != j
        ]
    )


def _probe_table(read, preferred, names, scale: Scale, rng) -> pd.DataFrame:
    """One row per emotion: r with the disposition, interval over activities, r on the second half."""
    r = {part: correlations(read[part], preferred[part]) for part in read}
    draws = _bootstrap(read["main"], preferred["main"], scale.n_bootstrap, rng)
    low, high = stats.band(draws)
    null = _largest_null(read["main"], preferred["main"], scale.n_null, rng)
    return pd.DataFrame(
        {
            "emotion": names,
            "r": r["main"],
            "low": low,
            "high": high,
            "r_confirm": r["confirm"],
            "null_of_largest": float(np.quantile(null, stats.LEVEL)),
        }
    ).join(paper.human_ratings(), on="emotion")


def _bootstrap(read: np.ndarray, scores: np.ndarray, n_draws: int, rng) -> np.ndarray:
    """Correlations of all emotions on items drawn with replacement, (n_draws, n_emotions)."""
    drawn = rng.integers(0, len(scores), (n_draws, len(scores)))
    return np.stack([correlations(read[rows], scores[rows]) for rows in drawn])


def _largest_null(read: np.ndarray, scores: np.ndarray, n_draws: int, rng) -> np.ndarray:
    """Largest |r| among all emotions when the scores are shuffled among the items."""
    return np.array([np.abs(correlations(read, rng.permutation(scores))).max() for _ in range(n_draws)])


def _by_layer(states, vectors: EmotionVectors, scores, gates, scale: Scale, rng) -> pd.DataFrame:
    """Per layer and valid instrument: strongest correlations, the null of the largest, r with ratings."""
    ratings = paper.human_ratings().pleasure
    members = [i for i, name in enumerate(vectors.names) if name in ratings.index]
    pleasure = ratings.loc[[vectors.names[i] for i in members]].to_numpy()
    rows = []
    for name in gates[gates.valid].instrument:
        for layer in vectors.layers:
            read = read_items(states, vectors, layer)
            r = correlations(read, scores[name])
            null = _largest_null(read, scores[name], min(scale.n_null, 200), rng)
            rows.append(
                {
                    "instrument": name,
                    "layer": layer,
                    "highest": r.max(),
                    "lowest": r.min(),
                    "null_of_largest": float(np.quantile(null, stats.LEVEL)),
                    "r_with_pleasure": stats.pearson(r[members], pleasure),
                    **{word: r[vectors.index(word)] for word in ("blissful", "hostile")},
                }
            )
    return pd.DataFrame(rows)


def probe_claims(prefix, read, scores, vectors, valid, scale: Scale, rng):
    """Blissful, hostile, the largest of all, and the agreement of r with rated pleasure, judged.

    `read` is (n_items, n_emotions), `scores` (n_items,). All are held against scores shuffled among the
    activities: words are not independent of each other, so shuffling among words would be too lenient.
    """
    r = correlations(read, scores)
    draws = _bootstrap(read, scores, scale.n_bootstrap, rng)
    shuffled = np.stack([rng.permutation(scores) for _ in range(scale.n_null)])
    null = np.stack([correlations(read, each) for each in shuffled])
    found = []
    for word in ("blissful", "hostile"):
        i = vectors.index(word)
        found.append(_evidence(f"{prefix}.probe_r.{word}", r[i], draws[:, i], null[:, i], len(scores), valid))
    largest = np.abs(draws[:, np.abs(r).argmax()])
    found.append(
        _evidence(
            f"{prefix}.probe_r.max_abs",
            np.abs(r).max(),
            largest,
            np.abs(null).max(axis=1),
            len(scores),
            valid,
            "scores shuffled among the activities, largest of all emotions each time",
        )
    )
    ratings = paper.human_ratings().pleasure
    members = [i for i, name in enumerate(vectors.names) if name in ratings.index]
    pleasure = ratings.loc[[vectors.names[i] for i in members]].to_numpy()

    def with_pleasure(correlations: np.ndarray) -> np.ndarray:
        return _standard(correlations[..., members]) @ _standard(pleasure) / len(members)

    found.append(
        _evidence(
            f"{prefix}.probe_r_vs_valence_r",
            with_pleasure(r),
            with_pleasure(draws),
            with_pleasure(null),
            len(members),
            valid,
        )
    )
    return found


def _evidence(claim, estimate, draws, null, n, valid, kind="scores shuffled among the activities"):
    return judge(
        Evidence(
            id=claim,
            estimate=float(estimate),
            ci=stats.band(np.asarray(draws)),
            n=n,
            null=held_against(kind, estimate, null),
            valid=valid,
        )
    )


def lexicon_weights(stories: Sequence[Story]) -> Mapping[str, float]:
    """A valence for every word, from our own stories: ridge regression of the human pleasure rating of
    a story's emotion on the words in it. Words in fewer than three stories have none.
    """
    ratings = paper.human_ratings().pleasure
    rated = [story for story in stories if story.emotion in ratings.index]
    count = CountVectorizer(binary=True, min_df=min(3, len(rated)))
    present = count.fit_transform([story.text for story in rated])
    model = Ridge(alpha=10.0).fit(present, [ratings[story.emotion] for story in rated])
    return dict(zip(count.get_feature_names_out(), model.coef_.tolist(), strict=True))


def text_valences(weights: Mapping[str, float], texts: Sequence[str]) -> np.ndarray:
    """Mean valence of each text's words, (n_texts,); words without one count as zero."""
    split = CountVectorizer(binary=True).build_analyzer()
    return np.array([np.mean([weights.get(word, 0.0) for word in split(text)] or [0.0]) for text in texts])


def _embedding_probe(word_states, story_words, stories, names) -> np.ndarray:
    """Cosine of each item's mean embedding with vectors made from the stories' embeddings."""
    labels = np.array([story.emotion for story in stories])
    means = np.stack([story_words[labels == name].mean(axis=0) for name in names])
    return cosine(word_states - word_states.mean(axis=0), means - means.mean(axis=0))


def _lexical_table(read, preferred, lexicon, embedded, n, scale: Scale, rng) -> pd.DataFrame:
    """How much of the prediction the words alone carry, and what is left of it without them.

    `best` is the emotion with the largest |r| on the main activities at the read-out layer; it is the
    same in every row and part, so that the second part is free of its choice.
    """
    best = int(np.abs(correlations(read["main"], preferred["main"])).argmax())
    parts = {"main": slice(0, n), "confirm": slice(n, None)}
    rows = []
    for part, members in parts.items():
        y = preferred[part]
        probe, words, early = read[part][:, best], lexicon[members], embedded[members, best]
        kinds = {
            "probe in the model": (probe, []),
            "word valences from our stories": (words, []),
            "probe in the embedding": (early, []),
            "probe in the model, word valences removed": (probe, [words]),
            "probe in the model, word valences and embedding removed": (probe, [words, early]),
        }
        for kind, (x, removed) in kinds.items():
            draws = rng.integers(0, len(y), (scale.n_bootstrap, len(y)))
            spread = [_partial(x[d], y[d], [z[d] for z in removed]) for d in draws]
            low, high = stats.band(np.array(spread))
            rows.append(
                {
                    "reads": kind,
                    "part": part,
                    "r": _partial(x, y, removed),
                    "low": low,
                    "high": high,
                    "emotion": best,
                }
            )
    return pd.DataFrame(rows)


def _partial(x: np.ndarray, y: np.ndarray, removed: Sequence[np.ndarray]) -> float:
    """Correlation of what is left of x and y after least squares on the removed ones."""
    design = np.column_stack([np.ones(len(x)), *removed])
    left = [v - design @ np.linalg.lstsq(design, v)[0] for v in (x, y)]
    return float(_standard(left[0]) @ _standard(left[1]) / len(x))
