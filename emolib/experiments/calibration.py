"""Would we have found it, and would we have found it anyway? The methods tried on known truth.

Simulated activations (`emolib.simulation`) give power, recovery and the coverage of intervals. The real
activations with labels, scores or directions that mean nothing give false finds. Everything runs through
the functions that the chapters use; `found` is a verdict of `replicated` or `partly`. A claim is found
by chance at the nominal rate when it leaves the upper end of a 95 % band: 2.5 %, and a little more where
the band comes from few draws.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from emolib import claims, paper, simulation, stats, vectors
from emolib.claims import Claim, Evidence, held_against, judge
from emolib.corpus.sets import SCENARIO_EMOTIONS
from emolib.experiments import central_layers, geometry, preferences, severity
from emolib.profiles import Scale
from emolib.results import Outcome
from emolib.simulation import EmotionSpace, Texts
from emolib.vectors import EmotionVectors, cosine, unit

EFFECTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
# How far an activity's state moves with liking (see `simulation.read_activities`).
FOLLOWS = (0.0, 0.5, 1.0, 2.0, 4.0)
# Planted slopes, in standard deviations of random directions.
PLANTED = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
N_ACTIVITIES, N_PARAPHRASES, N_WORDS = 64, 8, 44
N_LARGE = 4000  # activities that stand for all there could be
N_WORLDS = 8
WANTED_POWER = 0.8
# Draws inside a repetition; more would sharpen each verdict little and cost much.
MOST_INNER = 200
MOST_CLUSTERINGS = 50  # agreement of clusters takes longer than all other numbers together
SCENARIOS = "scenarios.diagonal"
# In the second way of writing, the neutral chats differ in little else.
CONFOUNDS = {
    "a few long vectors": {"lengths": 1.0},
    "a way of writing": {"style": 1.0},
    "a way of writing that dominates the neutral chats": {"style": 1.0, "style_in_chats": 25.0},
}


def run(
    stories: np.ndarray,
    emotions: list[str],
    topics: list[str],
    neutral: np.ndarray,
    made: EmotionVectors,
    readings: dict[str, np.ndarray],
    design: pd.DataFrame,
    items: np.ndarray,
    preferred: np.ndarray,
    layer: int,
    item_layer: int,
    scale: Scale,
    seed: int,
) -> Outcome:
    """All of the chapter's tables; there are no claims of the paper here.

    The real activations: `stories` (n_stories, n_layers, width) with emotion and topic of each, `neutral`
    (n_chats, n_layers, width), the vectors `made` of them, severity `readings` with their `design` (see
    `severity.run`), `items` (n_items, n_layers, width) with the score `preferred` (n_items,). `layer` and
    `item_layer` are where stories and activities are read.
    """
    rngs = iter(np.random.default_rng(seed).spawn(12))
    names, at = made.names, made.layers.index(layer)
    inner = scale.model_copy(
        update={
            "n_null": min(scale.n_null, MOST_INNER),
            "n_bootstrap": min(scale.n_bootstrap, MOST_INNER),
        }
    )
    half = split_half(stories[:, at], emotions, topics, names)
    simulated = pd.DataFrame(_simulated_stories(names, inner, scale, seed, next(rngs)))
    recovered = simulated.drop_duplicates(["effect", "world"]).groupby("effect")
    ours = float(np.interp(half, recovered.split_half.mean(), recovered.split_half.mean().index))
    asked = pd.DataFrame(_simulated_activities(names, ours, inner, scale, next(rngs)))
    # Worlds differ in how strong a correlation the same movement makes; a curve shows the mean.
    asked["effect"] = asked.truth.abs().groupby([asked.claim, asked.follows]).transform("mean")
    planted = pd.DataFrame(_planted_severity(readings, design, made, inner, scale, next(rngs)))
    power = pd.concat(
        [
            _rates(rows, ["claim", "effect"]).assign(chapter=chapter)
            for chapter, rows in (("geometry", simulated), ("preferences", asked), ("severity", planted))
        ]
    )
    shuffled = pd.DataFrame(
        [
            *_dealt_labels(stories, emotions, topics, neutral, made, layer, inner, scale, seed, next(rngs)),
            *_shuffled_scores(items, preferred, made, item_layer, inner, scale, next(rngs)),
        ]
    )
    groups = pd.DataFrame(_groups_without_feeling(names, ours, inner, scale, next(rngs)))
    tables = {
        "power": power,
        "smallest": smallest(power),
        "recovery": recovered[["pleasure", "arousal", "split_half", "scenarios_found"]].mean().reset_index(),
        "ours": pd.DataFrame([{"split_half": half, "effect": ours}]),
        "false_finds": pd.concat(
            [
                _rates(simulated[simulated.effect == 0], ["claim"]).assign(data="simulated, no effect"),
                _rates(asked[asked.follows == 0], ["claim"]).assign(data="simulated, no effect"),
                _rates(groups, ["claim"]).assign(data="simulated, groups of words without feeling"),
                _rates(planted[planted.effect == 0], ["claim"]).assign(data="real, placebo directions"),
                _rates(shuffled[~shuffled.ours], ["claim", "data"]),
            ]
        ),
        "shuffled": _beside_ours(shuffled),
        "coverage": _coverage(asked, inner, scale, next(rngs)),
        "confounds": _confounds(names, ours, scale, next(rngs)),
        "many_tests": _many_tests(scale, next(rngs)),
    }
    return Outcome(tables)


def nominal(n_draws: int) -> float:
    """Chance that a value of the null leaves the upper end of the band of `n_draws` other ones."""
    upper = (1 + stats.LEVEL) / 2
    return 1 - (upper * (n_draws - 1) + 1) / (n_draws + 1)


def share(happened: Sequence[bool]) -> dict[str, float]:
    """A share with its count and its 95 % binomial interval (Wilson)."""
    n, k = len(happened), int(np.sum(happened))
    low, high = binomtest(k, n).proportion_ci(stats.LEVEL, method="wilson")
    return {"n": n, "share": k / n, "low": low, "high": high}


def split_half(
    states: np.ndarray, emotions: Sequence[str], topics: Sequence[str], names: Sequence[str]
) -> float:
    """Mean cosine between an emotion's raw vectors from the even and from the odd topics.

    `states` is (n_stories, width).
    """
    kinds = np.unique(topics)
    labels, first = np.asarray(emotions), np.isin(topics, kinds[::2])
    if first.all():
        return np.nan
    means = [vectors.mean_by_emotion(states[part], labels[part], names) for part in (first, ~first)]
    return float(np.mean(np.sum(np.prod([unit(m - m.mean(axis=0)) for m in means], axis=0), axis=1)))


def smallest(power: pd.DataFrame) -> pd.DataFrame:
    """Per claim, the smallest effect that is found with 80 % power, between the effects tried.

    Missing where no effect tried reaches it.
    """
    rows = []
    for (chapter, claim), curve in power.groupby(["chapter", "claim"]):
        curve = curve.sort_values("effect")
        above = np.flatnonzero(curve.share >= WANTED_POWER)
        effect = np.nan
        if len(above):
            around = curve.iloc[max(0, above[0] - 1) : above[0] + 1]
            effect = float(np.interp(WANTED_POWER, around.share, around.effect))
        rows.append({"chapter": chapter, "claim": claim, "effect": effect})
    return pd.DataFrame(rows)


def _space(names, rng, shares=simulation.FEELING) -> EmotionSpace:
    groups = {name: paper.clusters().get(name, "") for name in names}
    return simulation.emotion_space(names, paper.human_ratings(), groups, rng, shares)


def _fit(texts: Texts, names, remove: bool = True) -> EmotionVectors:
    raw = vectors.fit(texts.stories, texts.emotions, names, [0], "simulated", "simulated")
    return vectors.denoise(raw, texts.neutral) if remove else raw


def _row(claim: Claim, **about) -> dict:
    return {
        **about,
        "claim": claim.id,
        "estimate": claim.estimate,
        "ci_low": claim.ci[0],
        "ci_high": claim.ci[1],
        "found": claim.verdict in ("replicated", "partly"),
        "replicated": claim.verdict == "replicated",
        "nominal": nominal(claim.null.n),
    }


def _rates(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """How often each claim was found, and how often replicated, per group of repetitions."""
    return pd.DataFrame(
        [
            {
                **dict(zip(by, key, strict=True)),
                **share(group.found),
                "replicated": group.replicated.mean(),
                "nominal": group.nominal.iloc[0],
            }
            for key, group in rows.groupby(by)
        ]
    )


def _map_claims(made: EmotionVectors, layer: int, shares, inner: Scale, seed: int, rng) -> list[Claim]:
    """The chapter on geometry's claims on one layer; `shares` are null draws of PC1's share.

    Their rules do not look at the intervals, so those are only sketched.
    """
    sketch = inner.model_copy(update={"n_bootstrap": 2})
    slow = sketch.model_copy(update={"n_null": min(sketch.n_null, MOST_CLUSTERINGS)})
    at_layer = unit(made.at(layer))
    scores, held = geometry.principal_axes(at_layer)
    words = pd.DataFrame(geometry.turned_up(scores, made.names), made.names).join(
        paper.human_ratings(), how="inner"
    )
    groups = pd.DataFrame(
        {
            "cluster": geometry.clusters(at_layer, geometry.N_CLUSTERS, seed, n_init=4),
            "paper_cluster": [paper.clusters().get(name, "") for name in made.names],
        }
    )
    null = held_against("emotion labels shuffled among the stories of a topic", held[0], shares)
    return [
        geometry.correlation_claim("geometry.pc1_pleasure_r", words[0], words.pleasure, sketch, rng),
        geometry.correlation_claim("geometry.pc2_arousal_r", words[1], words.arousal, sketch, rng),
        judge(
            Evidence(
                id="geometry.pc1_variance",
                estimate=held[0],
                ci=(np.nan, np.nan),
                n=len(at_layer),
                null=null,
            )
        ),
        geometry.cluster_claim(groups, at_layer, slow, seed, rng),
    ]


def _simulated_stories(names, inner: Scale, scale: Scale, seed: int, rng) -> Iterator[dict]:
    """The map of emotions and the scenarios, at every effect; a new world each time."""
    members = [names.index(name) for name in SCENARIO_EMOTIONS if name in names]
    for effect in EFFECTS:
        shares = None
        for world in range(_repetitions(scale, effect)):
            space = _space(names, rng)
            texts = simulation.read_stories(space, effect, rng)
            made = _fit(texts, names)
            if shares is None:  # the null of PC1's share is that of the first world
                basis = vectors.principal_components(texts.neutral[:, 0], vectors.NEUTRAL_SHARE)
                states = vectors.project_out(texts.stories[:, 0], basis)
                n = max(20, scale.n_null // 10)
                shares = geometry.shuffled_label_shares(states, names, texts.emotions, texts.topics, n, rng)
            scores = geometry.turned_up(geometry.principal_axes(unit(made.at(0)))[0], names)
            read = _read_scenarios(simulation.read_scenarios(space, members, effect, rng), made, members)
            about = {
                "effect": effect,
                "world": world,
                "pleasure": stats.pearson(scores[:, 0], space.latents[:, 0]),
                "arousal": stats.pearson(scores[:, 1], space.latents[:, 1]),
                "split_half": split_half(texts.stories[:, 0], texts.emotions, texts.topics, names),
                "scenarios_found": _share_found(read),
            }
            for claim in _map_claims(made, 0, shares, inner, seed, rng):
                yield _row(claim, **about)
            gap = _diagonal_gap(read)
            null = [_diagonal_gap(rng.permutation(read)) for _ in range(inner.n_null)]
            found = bool(gap > stats.band(np.array(null))[1])
            yield {
                **about,
                "claim": SCENARIOS,
                "estimate": gap,
                "found": found,
                "replicated": found,
                "nominal": nominal(inner.n_null),
            }


def _read_scenarios(states, made: EmotionVectors, members, centred: bool = True) -> np.ndarray:
    """Cosines of scenarios with their own emotions' vectors, (n, n), own emotion on the diagonal."""
    origin = states.mean(axis=0) if centred else 0
    return cosine(states - origin, made.at(made.layers[0])[members])


def _diagonal_gap(read: np.ndarray) -> float:
    """Mean of the diagonal minus mean of the rest."""
    own = np.eye(len(read), dtype=bool)
    return float(read[own].mean() - read[~own].mean())


def _share_found(read: np.ndarray) -> float:
    return float(np.mean(read.argmax(axis=1) == np.arange(len(read))))


def _groups_without_feeling(names, effect: float, inner: Scale, scale: Scale, rng) -> Iterator[dict]:
    """Worlds in which words lie in the paper's groups and pleasure and arousal have no axis."""
    sketch = inner.model_copy(update={"n_bootstrap": 2})
    ratings = paper.human_ratings()
    members = [i for i, name in enumerate(names) if name in ratings.index]
    rated = ratings.loc[[names[i] for i in members]]
    for _ in range(_repetitions(scale, 0)):
        made = _fit(simulation.read_stories(_space(names, rng, simulation.NO_FEELING), effect, rng), names)
        scores = geometry.turned_up(geometry.principal_axes(unit(made.at(0)))[0], names)
        for claim, component, rating in (
            ("geometry.pc1_pleasure_r", 0, "pleasure"),
            ("geometry.pc2_arousal_r", 1, "arousal"),
        ):
            drawn = pd.Series(scores[members, component])
            yield _row(geometry.correlation_claim(claim, drawn, rated[rating], sketch, rng))


def _simulated_activities(names, effect: float, inner: Scale, scale: Scale, rng) -> Iterator[dict]:
    """The probe for preferences where states follow liking along the axis of pleasure.

    `truth` is what a claim's number is over many activities of the same world.
    """
    worlds = []
    for _ in range(N_WORLDS):
        space = _space(names, rng)
        worlds.append((space, _fit(simulation.read_stories(space, effect, rng), names)))
    for follows in FOLLOWS:
        for repetition in range(_repetitions(scale, follows)):
            space, made = worlds[repetition % N_WORLDS]
            states, liking = simulation.read_activities(space, follows, N_LARGE, rng)
            truth = _probe_truth(preferences.read_items(states, made, 0), liking, made)
            few = slice(0, N_ACTIVITIES)
            read = preferences.read_items(states[few], made, 0)
            for claim in preferences.probe_claims("preferences", read, liking[few], made, True, inner, rng):
                yield _row(claim, follows=follows, truth=truth[claim.id])


def _probe_truth(read: np.ndarray, liking: np.ndarray, made: EmotionVectors) -> dict[str, float]:
    r = preferences.correlations(read, liking)
    pleasure = paper.human_ratings().pleasure
    words = [name for name in made.names if name in pleasure.index]
    return {
        "preferences.probe_r.blissful": r[made.index("blissful")],
        "preferences.probe_r.hostile": r[made.index("hostile")],
        "preferences.probe_r.max_abs": np.abs(r).max(),
        "preferences.probe_r_vs_valence_r": stats.pearson(
            r[[made.index(word) for word in words]], pleasure[words].to_numpy()
        ),
    }


def _planted_severity(
    readings, design, made: EmotionVectors, inner: Scale, scale: Scale, rng
) -> Iterator[dict]:
    """The severity chapter's choosing and judging on real readings, with slopes planted in placebos.

    A placebo is a random direction, the same mixture of emotion vectors in every layer. Pairs of them
    stand for *afraid*, which should rise, and *calm*, which should fall. The planted slope is added for
    the family and not for its control, in every wording, position and layer.
    """
    expected = {"afraid": 1, "calm": -1}
    n_pairs = _repetitions(scale, 0)
    weights = rng.standard_normal((2 * n_pairs, len(made.names)))
    placebo = replace(
        made,
        array=np.stack([weights @ unit(made.at(layer)) for layer in made.layers], axis=1),
        names=tuple(f"placebo {i}" for i in range(2 * n_pairs)),
    )
    directions = {
        layer: stats.random_directions(made.at(layer), inner.n_null, rng)
        for layer in central_layers(made.layers)
    }
    choosing = severity.choosing_slopes(readings, design, placebo, directions)
    judging = {
        choice: severity.Slopes.of(readings, design, placebo, directions, choice, "judge")
        for choice in choosing
    }
    for planted in PLANTED:
        push = planted * np.array(list(expected.values()))
        for pair in range(_repetitions(scale, planted)):
            columns = [2 * pair, 2 * pair + 1]
            chosen = {choice: _planted(slopes, columns, push) for choice, slopes in choosing.items()}
            choice = severity.best_choice(severity.score_choices(chosen, dict(enumerate(expected.values()))))
            judged = _planted(judging[choice], columns, push)
            for i, name in enumerate(expected):
                yield _row(severity.claim(name, judged, i), effect=planted)


def _planted(slopes: severity.Slopes, columns: list[int], push: np.ndarray) -> severity.Slopes:
    return replace(slopes, family=slopes.family[:, columns] + push, control=slopes.control[:, columns])


def _dealt_labels(
    stories, emotions, topics, neutral, made: EmotionVectors, layer, inner: Scale, scale: Scale, seed, rng
) -> Iterator[dict]:
    """The map's claims on real stories, first as they are, then with their labels dealt anew."""
    data = "real, labels shuffled within topics"
    layers = sorted({layer, *central_layers(made.layers, geometry.N_LAYERS_COMPARED)})
    kept = [made.layers.index(each) for each in layers]
    stories, neutral = stories[:, kept], neutral[:, kept]
    at = layers.index(layer)
    basis = vectors.principal_components(neutral[:, at], vectors.NEUTRAL_SHARE)
    states = vectors.project_out(stories[:, at], basis)
    n = max(20, scale.n_null // 10)
    shares = geometry.shuffled_label_shares(states, made.names, emotions, topics, n, rng)
    alike = geometry.shuffled_label_similarities(stories, neutral, made.names, emotions, topics, n, rng)
    sketch = inner.model_copy(update={"n_bootstrap": 2})
    for repetition in range(1 + max(4, scale.n_null // 25)):
        labels = geometry.dealt(emotions, topics, rng) if repetition else emotions
        raw = vectors.fit(stories, labels, made.names, layers, made.fingerprint, made.corpus_hash)
        found = vectors.denoise(raw, neutral)
        for claim in (
            *_map_claims(found, layer, shares, inner, seed, rng),
            geometry.similarity_claim(found.array.swapaxes(0, 1), alike, sketch, rng),
        ):
            yield _row(claim, data=data, ours=not repetition)


def _shuffled_scores(items, preferred, made: EmotionVectors, layer, inner: Scale, scale: Scale, rng):
    """The probe's claims on real activities, first as they are, then with the scores shuffled."""
    read = preferences.read_items(items, made, layer)
    for repetition in range(1 + _repetitions(scale, 0)):
        scores = rng.permutation(preferred) if repetition else preferred
        for claim in preferences.probe_claims("preferences", read, scores, made, True, inner, rng):
            yield _row(claim, data="real, scores shuffled among activities", ours=not repetition)


def _beside_ours(shuffled: pd.DataFrame) -> pd.DataFrame:
    """Per claim: our number, what shuffled data give, and how often they reach it (one-sided)."""
    rows = []
    for (claim, data), group in shuffled.groupby(["claim", "data"]):
        ours = group[group.ours].estimate.item()
        draws = group[~group.ours].estimate.to_numpy()
        low, high = stats.band(draws)
        beyond = np.sum(np.sign(ours) * draws >= abs(ours))
        rows.append(
            {
                "claim": claim,
                "shuffled": data.split(", ", 1)[1],
                "ours": ours,
                "low": low,
                "high": high,
                "n": len(draws),
                "p": (beyond + 1) / (len(draws) + 1),
            }
        )
    return pd.DataFrame(rows)


def _coverage(asked: pd.DataFrame, inner: Scale, scale: Scale, rng) -> pd.DataFrame:
    """How often a 95 % interval holds the true number."""
    n_draws, n = inner.n_bootstrap, scale.n_null
    rows = []

    def add(interval: str, over: str, held: list[bool]):
        rows.append({"interval": interval, "over": over, **share(held)})

    for size, over in ((N_PARAPHRASES, "paraphrases"), (N_ACTIVITIES, "activities")):
        samples = rng.standard_normal((n, size))
        for kind, intervals in (
            ("bootstrap", [stats.mean_interval(sample, n_draws, rng) for sample in samples]),
            ("Student's t", [stats.mean_t_interval(sample) for sample in samples]),
        ):
            add(f"mean, {kind}", f"{size} {over}", [low <= 0 <= high for low, high in intervals])
    intervals = [stats.pearson_interval(*_pairs(0.8, N_WORDS, rng), n_draws, rng) for _ in range(n)]
    add("r = .8, bootstrap", f"{N_WORDS} words", [low <= 0.8 <= high for low, high in intervals])
    for claim, group in asked[asked.follows > 0].groupby("claim"):
        held = (group.ci_low <= group.truth) & (group.truth <= group.ci_high)
        add(f"{claim.removeprefix('preferences.')}, bootstrap", f"{N_ACTIVITIES} activities", held)
    return pd.DataFrame(rows)


def _pairs(r: float, n: int, rng) -> np.ndarray:
    """Two samples (2, n) of a normal distribution with correlation r."""
    x, rest = rng.standard_normal((2, n))
    return np.stack([x, r * x + np.sqrt(1 - r**2) * rest])


def _confounds(names, effect: float, scale: Scale, rng) -> pd.DataFrame:
    """What each confound does to the result, with and without its remedy; worlds with our effect."""
    members = [names.index(name) for name in SCENARIO_EMOTIONS if name in names]

    def pleasure(space, at_layer) -> float:
        return abs(stats.pearson(geometry.principal_axes(at_layer)[0][:, 0], space.latents[:, 0]))

    rows = []
    for _ in range(max(3, scale.n_null // 50)):
        space = _space(names, rng)
        for kind, settings in CONFOUNDS.items():
            for present in (False, True):
                texts = simulation.read_stories(space, effect, rng, **(settings if present else {}))
                made, raw = _fit(texts, names), _fit(texts, names, remove=False)
                with_remedy = pleasure(space, unit(made.at(0)))
                without = made.at(0) if "lengths" in settings else unit(raw.at(0))
                for remedy, value in ((True, with_remedy), (False, pleasure(space, without))):
                    rows.append((kind, present, remedy, "r of PC1 with true pleasure", value))
        made = _fit(simulation.read_stories(space, effect, rng), names)
        states = simulation.read_scenarios(space, members, effect, rng)
        shared = simulation.origin(states.shape[1])
        for present in (False, True):
            for remedy in (False, True):
                read = _read_scenarios(states - (0 if present else shared), made, members, centred=remedy)
                rows.append(("massive dimensions", present, remedy, "scenarios found", _share_found(read)))
    table = pd.DataFrame(rows, columns=["confound", "present", "remedy", "measure", "value"])
    grouped = table.groupby(["confound", "measure", "present", "remedy"]).value
    return grouped.agg(mean="mean", sd="std", n="size").reset_index()


def _many_tests(scale: Scale, rng) -> pd.DataFrame:
    """False finds in a chapter with many claims, by the rules alone and with adjusted p besides.

    The claims are those on preferences. Estimates and null draws are standard normal; in the true ones
    the estimate is shifted by four standard deviations in the paper's direction.
    """
    entries = [
        entry
        for entry in claims.ledger().values()
        if entry.chapter == "preferences" and entry.rule.kind == "share_of_paper"
    ]
    rows = []
    for n_true in (0, len(entries) // 2):
        alone, adjusted, wrong = [], [], []
        for _ in range(scale.n_null // 2):
            draws = rng.standard_normal((len(entries), MOST_INNER))
            judged = []
            for i, entry in enumerate(entries):
                estimate = float(rng.standard_normal() + 4 * np.sign(entry.paper) * (i < n_true))
                null = held_against("standard normal", estimate, draws[i])
                judged.append(
                    judge(Evidence(id=entry.id, estimate=estimate, ci=(np.nan, np.nan), n=1, null=null))
                )
            p = {claim.id: claim.p_adjusted for claim in claims.complete(judged)}
            found = np.array([claim.verdict != "not replicated" for claim in judged])
            kept = np.array([p[claim.id] <= 1 - stats.LEVEL for claim in judged])
            alone.append(found[n_true:].any())
            adjusted.append(kept[n_true:].any())
            wrong.append(kept[n_true:].sum() / max(1, kept.sum()))
        rows += [
            {"claims": len(entries), "true": n_true, "rule": "verdict alone", **share(alone)},
            {
                "claims": len(entries),
                "true": n_true,
                "rule": "adjusted p below .05",
                **share(adjusted),
                "false_share": float(np.mean(wrong)),
            },
        ]
    return pd.DataFrame(rows)


def _repetitions(scale: Scale, effect: float) -> int:
    """More where there is nothing to find, because small rates need many."""
    return max(5, scale.n_null // (10 if effect == 0 else 40))
