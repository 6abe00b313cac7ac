"""How the emotion vectors lie to each other (paper, section on geometry, Figs. 5-9).

Everything is computed on unit-normalised vectors: principal components of vectors as they come find
the norm before they find the feeling. Principal components are turned so that words that need no rating
point up (`UP`): pleasant against unpleasant for the first, stirred against still for the second.
"""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from emolib import paper, stats
from emolib.claims import Evidence, held_against, judge
from emolib.corpus.sets import SCENARIO_EMOTIONS
from emolib.experiments import central_layers
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

N_CLUSTERS = 10
N_LAYERS_COMPARED = 14
N_COMPONENTS = 3
# Where the first two components point is decided by these words, never by the ratings.
UP = {
    0: (("happy", "calm", "loving", "proud"), ("sad", "afraid", "angry", "ashamed")),
    1: (("excited", "ecstatic", "panicked", "enraged"), ("calm", "serene", "listless", "sleepy")),
}
RATED = {0: "pleasure", 1: "arousal"}
# Statistics that need a fresh decomposition per draw are drawn this often at most.
MOST_DECOMPOSITIONS = 300
N_DRAWS = 20  # of topics, for each number of stories


def run(
    vectors: EmotionVectors,
    raw: EmotionVectors,
    stories: np.ndarray,
    emotions: list[str],
    topics: list[str],
    neutral: np.ndarray,
    layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables and claims.

    `vectors` and `raw` are the vectors with and without the neutral components removed; `stories` is
    (n_stories, n_layers, width) with the emotion and topic of each story, `neutral` (n_chats, n_layers,
    width). `layer` is where single-layer results are read.
    """
    rngs = iter(np.random.default_rng(seed).spawn(10))
    words = words_table(vectors, layer, seed)
    rated = words.dropna(subset=["pleasure"])
    at_layer = unit(vectors.at(layer))
    claims = [
        correlation_claim("geometry.pc1_pleasure_r", rated.pc1, rated.pleasure, scale, next(rngs)),
        correlation_claim("geometry.pc2_arousal_r", rated.pc2, rated.arousal, scale, next(rngs)),
        _variance_claim(vectors, stories, emotions, topics, neutral, layer, scale, next(rngs)),
        cluster_claim(words, at_layer, scale, seed, next(rngs)),
        _similarity_claim(vectors, stories, emotions, topics, neutral, scale, next(rngs)),
    ]
    tables = {
        "words": words,
        "cosines": _cosine_table(at_layer, words),
        "by_layer": pd.concat(
            [
                by_layer(vectors, scale, next(rngs)).assign(vectors="neutral removed"),
                by_layer(raw, scale, next(rngs)).assign(vectors="raw"),
            ]
        ),
        "layer_similarity": layer_similarity(vectors, list(vectors.layers)),
        "raw_beside": _raw_beside(vectors, raw, layer, seed),
        "by_stories": by_stories(vectors, stories, emotions, topics, layer, next(rngs)),
    }
    return Outcome(tables, claims)


def principal_axes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, 3) of unit vectors on their principal axes, and each axis' share of the variance."""
    centred = vectors - vectors.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    return (left * singular)[:, :N_COMPONENTS], singular[:N_COMPONENTS] ** 2 / np.sum(singular**2)


def turned_up(scores: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """The scores with the sign of each component settled by the words in `UP`."""
    turned = scores.copy()
    for component, sides in UP.items():
        high, low = (
            np.mean([scores[names.index(word), component] for word in side if word in names] or [0.0])
            for side in sides
        )
        if high < low:
            turned[:, component] *= -1
    return turned


def clusters(vectors: np.ndarray, k: int, seed: int, n_init: int = 25) -> np.ndarray:
    """k-means labels of unit vectors, (n,)."""
    return KMeans(k, n_init=n_init, random_state=seed).fit_predict(vectors)


def words_table(vectors: EmotionVectors, layer: int, seed: int) -> pd.DataFrame:
    """One row per emotion: components, clusters, human ratings, place in the dendrogram."""
    at_layer = unit(vectors.at(layer))
    scores, share = principal_axes(at_layer)
    scores = turned_up(scores, vectors.names)
    order = leaves_list(linkage(at_layer, method="average", metric="cosine", optimal_ordering=True))
    return pd.DataFrame(
        {
            "emotion": vectors.names,
            **{f"pc{i + 1}": scores[:, i] for i in range(N_COMPONENTS)},
            **{f"pc{i + 1}_share": share[i] for i in range(N_COMPONENTS)},
            "cluster": clusters(at_layer, N_CLUSTERS, seed),
            "paper_cluster": [paper.clusters().get(name) for name in vectors.names],
            "order": np.argsort(order),
        }
    ).join(paper.human_ratings(), on="emotion")


def by_layer(vectors: EmotionVectors, scale: Scale, rng: np.random.Generator) -> pd.DataFrame:
    """Correlation of the first two components with the ratings in every layer, beside the null band."""
    ratings = paper.human_ratings()
    members = [i for i, name in enumerate(vectors.names) if name in ratings.index]
    rows = []
    for layer in vectors.layers:
        scores, share = principal_axes(unit(vectors.at(layer)))
        scores = turned_up(scores, vectors.names)
        for component, rating in RATED.items():
            rated = ratings.loc[[vectors.names[i] for i in members], rating].to_numpy()
            null = stats.permuted_correlations(scores[members, component], rated, scale.n_null, rng)
            low, high = stats.band(null)
            rows.append(
                {
                    "layer": layer,
                    "component": component + 1,
                    "rating": rating,
                    "r": stats.pearson(scores[members, component], rated),
                    "share": share[component],
                    "null_low": low,
                    "null_high": high,
                }
            )
    return pd.DataFrame(rows)


def off_diagonal(vectors: np.ndarray) -> np.ndarray:
    """The cosines between different emotions as one long unit vector."""
    unit_vectors = unit(vectors)
    cosines = unit_vectors @ unit_vectors.T
    return unit(cosines[np.triu_indices(len(vectors), k=1)])


def layer_similarity(vectors: EmotionVectors, layers: list[int]) -> pd.DataFrame:
    """Cosine between the off-diagonal cosine matrices of every two layers."""
    maps = np.stack([off_diagonal(vectors.at(layer)) for layer in layers])
    table = pd.DataFrame(maps @ maps.T, index=layers, columns=layers)
    return (
        table.rename_axis("layer_a")
        .reset_index()
        .melt("layer_a", var_name="layer_b", value_name="cosine")
        .astype({"layer_b": int})
    )


def by_stories(
    vectors: EmotionVectors, stories: np.ndarray, emotions: list[str], topics: list[str], layer: int, rng
) -> pd.DataFrame:
    """The headline numbers of raw vectors from fewer stories: draws of topics, one story in each.

    `half_cosine` is the mean cosine of an emotion's vectors from two halves of the drawn topics.
    `found` is the share of stories on all other topics whose own emotion ranks first among all, and
    `found_of_12` the same among the paper's twelve.
    """
    names = vectors.names
    twelve = [names.index(name) for name in SCENARIO_EMOTIONS if name in names]
    kept, labels = np.unique(topics), np.asarray(emotions)
    states = stories[:, vectors.layers.index(layer)]
    # One sum per topic and emotion, so that a draw is an average of averages.
    cells = np.stack(
        [mean_by_emotion(states[np.equal(topics, t)], labels[np.equal(topics, t)], names) for t in kept]
    )
    rows = []
    for n in range(1, len(kept) + 1):
        for draw in range(N_DRAWS if n < len(kept) else 1):
            order = rng.permutation(len(kept))
            drawn, rest = order[:n], order[n:]
            made = _centred_mean(cells[drawn])
            scores = turned_up(principal_axes(unit(made))[0], names)
            row = {"stories": n, "draw": draw, "half_cosine": np.nan, "found": np.nan, "found_of_12": np.nan}
            row |= _against_ratings(scores, names)
            if n > 1:
                halves = (_centred_mean(cells[half]) for half in (drawn[::2], drawn[1::2]))
                row["half_cosine"] = float(
                    np.mean(np.sum(np.prod([unit(h) for h in halves], axis=0), axis=1))
                )
            if len(rest):
                unseen = cells[rest] - cells[rest].mean(axis=1, keepdims=True)
                row["found"] = _share_found(unseen, made)
                row["found_of_12"] = _share_found(unseen[:, twelve], made[twelve])
            rows.append(row)
    return pd.DataFrame(rows)


def _share_found(unseen: np.ndarray, made: np.ndarray) -> float:
    """Share of states (n_topics, n_emotions, width) whose own vector is nearest by cosine."""
    best = cosine(unseen, made).argmax(axis=-1)
    return float((best == np.arange(len(made))).mean())


def _centred_mean(cells: np.ndarray) -> np.ndarray:
    means = cells.mean(axis=0)
    return means - means.mean(axis=0)


def correlation_claim(claim, scores, ratings, scale: Scale, rng: np.random.Generator):
    """A component's correlation with a rating over the rated words, judged."""
    x, y = scores.to_numpy(), ratings.to_numpy()
    estimate = stats.pearson(x, y)
    return judge(
        Evidence(
            id=claim,
            estimate=estimate,
            ci=stats.pearson_interval(x, y, scale.n_bootstrap, rng),
            n=len(x),
            null=held_against(
                "ratings shuffled among the words",
                estimate,
                stats.permuted_correlations(x, y, scale.n_null, rng),
            ),
        )
    )


def _variance_claim(vectors, stories, emotions, topics, neutral, layer, scale: Scale, rng):
    at, at_layer = vectors.layers.index(layer), unit(vectors.at(layer))
    basis = principal_components(neutral[:, at], NEUTRAL_SHARE)

    def share(members):
        return principal_axes(at_layer[members])[1][0]

    estimate = float(share(slice(None)))
    n_draws = min(scale.n_bootstrap, MOST_DECOMPOSITIONS)
    states = project_out(stories[:, at], basis)
    n_null = min(scale.n_null, MOST_DECOMPOSITIONS)
    null = shuffled_label_shares(states, vectors.names, emotions, topics, n_null, rng)
    return judge(
        Evidence(
            id="geometry.pc1_variance",
            estimate=estimate,
            ci=stats.half_sample_interval(share, estimate, len(at_layer), n_draws, rng),
            n=len(at_layer),
            null=held_against("emotion labels shuffled among the stories of a topic", estimate, null),
        )
    )


def shuffled_label_shares(states, names, emotions, topics, n_draws, rng) -> np.ndarray:
    """PC1's share of variance when stories are dealt to emotions at random within their topic."""
    shares = []
    for _ in range(n_draws):
        means = mean_by_emotion(states, dealt(emotions, topics, rng), names)
        shares.append(principal_axes(unit(means - means.mean(axis=0)))[1][0])
    return np.array(shares)


def dealt(emotions, topics, rng: np.random.Generator) -> np.ndarray:
    """The emotions of the stories, dealt anew at random within each topic."""
    emotions, topics = np.array(emotions), np.asarray(topics)
    for topic in np.unique(topics):
        members = topics == topic
        emotions[members] = rng.permutation(emotions[members])
    return emotions


def cluster_claim(words: pd.DataFrame, at_layer: np.ndarray, scale: Scale, seed: int, rng):
    """Agreement of the columns `cluster` and `paper_cluster` of `words`, judged."""
    theirs = words.paper_cluster.to_numpy()
    ours = words.cluster.to_numpy()
    estimate = float(adjusted_rand_score(theirs, ours))

    def on_half(members):
        return adjusted_rand_score(theirs[members], clusters(at_layer[members], N_CLUSTERS, seed, n_init=4))

    n_draws = min(scale.n_bootstrap, MOST_DECOMPOSITIONS)
    null = np.array([adjusted_rand_score(theirs, rng.permutation(ours)) for _ in range(scale.n_null)])
    return judge(
        Evidence(
            id="geometry.cluster_ari",
            estimate=estimate,
            ci=stats.half_sample_interval(on_half, estimate, len(words), n_draws, rng),
            n=len(words),
            null=held_against("cluster labels shuffled among the words", estimate, null),
        )
    )


def _similarity_claim(vectors, stories, emotions, topics, neutral, scale: Scale, rng):
    layers = central_layers(vectors.layers, N_LAYERS_COMPARED)
    kept = [vectors.layers.index(layer) for layer in layers]
    n_null = min(scale.n_null, MOST_DECOMPOSITIONS)
    null = shuffled_label_similarities(
        stories[:, kept], neutral[:, kept], vectors.names, emotions, topics, n_null, rng
    )
    return similarity_claim(np.stack([vectors.at(layer) for layer in layers]), null, scale, rng)


def similarity_claim(stack: np.ndarray, null: np.ndarray, scale: Scale, rng):
    """The lowest similarity between any two layers of `stack` (n_layers, n_emotions, width), judged.

    `null` holds the same number from vectors whose stories carry shuffled labels. A stream carries what
    a story says from block to block, so layers look alike whatever the labels are.
    """
    n = stack.shape[1]
    estimate = lowest_similarity(stack)
    n_draws = min(scale.n_bootstrap, MOST_DECOMPOSITIONS)
    return judge(
        Evidence(
            id="geometry.layer_similarity_min",
            estimate=estimate,
            ci=stats.half_sample_interval(
                lambda members: lowest_similarity(stack[:, members]), estimate, n, n_draws, rng
            ),
            n=n,
            null=held_against("emotion labels shuffled among the stories of a topic", estimate, null),
        )
    )


def lowest_similarity(stack: np.ndarray) -> float:
    """Lowest cosine between the off-diagonal cosine matrices of two layers of (n_layers, n, width)."""
    maps = np.stack([off_diagonal(at_layer) for at_layer in stack])
    return float((maps @ maps.T).min())


def shuffled_label_similarities(stories, neutral, names, emotions, topics, n_draws, rng) -> np.ndarray:
    """The lowest similarity of layers when stories are dealt to emotions at random within their topic."""
    bases = [principal_components(neutral[:, i], NEUTRAL_SHARE) for i in range(neutral.shape[1])]
    states = np.stack([project_out(stories[:, i], basis) for i, basis in enumerate(bases)], axis=1)
    found = []
    for _ in range(n_draws):
        means = mean_by_emotion(states, dealt(emotions, topics, rng), names)
        found.append(lowest_similarity((means - means.mean(axis=0)).swapaxes(0, 1)))
    return np.array(found)


def headlines(vectors: EmotionVectors, layer: int, compared: list[int], seed: int) -> dict[str, float]:
    """The chapter's five numbers by the names of their claims; `compared` are the layers of the last one."""
    at_layer = unit(vectors.at(layer))
    scores, share = principal_axes(at_layer)
    theirs = [paper.clusters()[name] for name in vectors.names]
    return {
        **_against_ratings(turned_up(scores, vectors.names), vectors.names),
        "pc1_variance": float(share[0]),
        "cluster_ari": float(adjusted_rand_score(theirs, clusters(at_layer, N_CLUSTERS, seed))),
        "layer_similarity_min": lowest_similarity(np.stack([vectors.at(each) for each in compared])),
    }


def _against_ratings(scores: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Correlation of each component that has a rating with it, over the rated words."""
    ratings = paper.human_ratings()
    members = [i for i, name in enumerate(names) if name in ratings.index]
    rated = ratings.loc[[names[i] for i in members]]
    return {
        f"pc{component + 1}_{rating}_r": stats.pearson(scores[members, component], rated[rating])
        for component, rating in RATED.items()
    }


def _raw_beside(vectors: EmotionVectors, raw: EmotionVectors, layer: int, seed: int) -> pd.DataFrame:
    """The chapter's numbers, one a row, from vectors with and without the neutral components."""
    compared = central_layers(vectors.layers, N_LAYERS_COMPARED)
    table = pd.DataFrame(
        {
            label: headlines(these, layer, compared, seed)
            for label, these in (("neutral removed", vectors), ("raw", raw))
        }
    )
    return table.rename_axis("number").reset_index()


def _cosine_table(at_layer: np.ndarray, words: pd.DataFrame) -> pd.DataFrame:
    names = words.emotion.to_numpy()
    return pd.DataFrame(
        {
            "emotion_a": np.repeat(names, len(names)),
            "emotion_b": np.tile(names, len(names)),
            "cosine": (at_layer @ at_layer.T).ravel(),
        }
    )
