"""How firmly headlines stand: on simulated stories whose reliability is known, and against plain loops."""

import itertools

import numpy as np
import pandas as pd
import pytest
from test_experiments import TOPICS, WORDS, simulated
from test_study import profile  # noqa: F401 - a fixture

from emolib import claims, paper, study
from emolib.claims import Claim, Null
from emolib.errors import EmolibError
from emolib.experiments import geometry, severity, stability


def labelled(emotions, topics):
    """Stories' labels; person and tense alternate within an emotion."""
    person = np.where(np.unique(topics, return_inverse=True)[1] % 2 == 0, "first", "third")
    tense = np.where(np.unique(topics, return_inverse=True)[1] < 2, "past", "present")
    return pd.DataFrame({"emotion": emotions, "topic": topics, "person": person, "tense": tense})


def noisy(signal, noise, n_emotions=40, n_topics=12, width=600, topic_shift=0.0, seed=0):
    """Stories of one layer: an emotion's own direction, its topic's shift, and noise."""
    rng = np.random.default_rng(seed)
    names = [f"emotion{i}" for i in range(n_emotions)]
    own = signal * rng.normal(size=(n_emotions, width))
    shift = topic_shift * rng.normal(size=(n_topics, width))
    cells = list(itertools.product(range(n_emotions), range(n_topics)))
    states = np.stack([own[e] + shift[t] + noise * rng.normal(size=width) for e, t in cells])
    labels = labelled([names[e] for e, _ in cells], [f"topic{t:02d}" for _, t in cells])
    return states.astype(np.float32), labels, names


@pytest.mark.parametrize(("signal", "noise"), [(1.0, 1.0), (0.4, 1.0), (1.0, 4.0)])
def test_reliability_is_that_of_the_closed_form(signal, noise):
    states, labels, names = noisy(signal, noise, topic_shift=3.0)
    found = stability.reliability(states[:, None], labels, names, [7], np.random.default_rng(1))
    half = signal**2 / (signal**2 + noise**2 / 6)
    whole = signal**2 / (signal**2 + noise**2 / 12)
    assert found.half_cosine.mean() == pytest.approx(half, abs=0.02)
    assert found.reliability.mean() == pytest.approx(whole, abs=0.02)
    assert set(found.layer) == {7}
    assert (found.half_cosine > found.null_high).all()


def test_reliability_of_noise_is_inside_the_null():
    states, labels, names = noisy(signal=0.0, noise=1.0)
    found = stability.reliability(states[:, None], labels, names, [0], np.random.default_rng(1))
    inside = found.half_cosine.between(found.null_low, found.null_high)
    assert inside.mean() > 0.9
    assert abs(found.half_cosine.mean()) < 0.05


def test_the_least_reliable_emotion_is_the_one_with_the_most_noise():
    states, labels, names = noisy(signal=1.0, noise=0.5)
    loud = (labels.emotion == "emotion3").to_numpy()
    states[loud] += 4 * np.random.default_rng(2).normal(size=states[loud].shape)
    found = stability.reliability(states[:, None], labels, names, [0], np.random.default_rng(1))
    assert found.loc[found.reliability.idxmin()].emotion == "emotion3"


def test_person_matters_only_where_it_was_put():
    states, labels, names = noisy(signal=1.0, noise=1.0)
    first = (labels.person == "first").to_numpy()
    own = np.random.default_rng(3).normal(size=(len(names), states.shape[1]))
    shifted = states + 3 * first[:, None] * own[[names.index(name) for name in labels.emotion]]
    for these, differs in ((states, False), (shifted, True)):
        found = stability.halves(these, labels, names, np.random.default_rng(1)).set_index("halves").cosine
        drawn = found["halves of each emotion's stories"]
        assert found["past against present tense"] > 0.7 * drawn
        assert (found["first against third person"] < 0.7 * drawn) == differs


def test_draws_change_what_they_say_and_nothing_else():
    _, labels, _ = noisy(1.0, 1.0, width=2)
    found = list(stability.draws(labels, 10, np.random.default_rng(0)))
    by_kind = {}
    for kind, name, rows in found:
        by_kind.setdefault(kind, {})[name] = labels.iloc[rows]
    assert all((drawn.emotion.value_counts() == 12).all() for drawn in by_kind["stories drawn anew"].values())
    assert any(drawn.index.has_duplicates for drawn in by_kind["stories drawn anew"].values())
    for drawn in by_kind["topics drawn anew"].values():
        assert (pd.crosstab(drawn.topic, drawn.emotion).nunique(axis=1) == 1).all()
        assert len(drawn) == len(labels)
    for i in range(5):
        a, b = (by_kind["half of the topics"][f"{i}{side}"] for side in "ab")
        assert a.topic.nunique() == b.topic.nunique() == 6
        assert sorted([*a.index, *b.index]) == list(labels.index)
    assert set(by_kind[stability.LEFT_OUT]) == set(labels.topic)
    assert all(name not in set(drawn.topic) for name, drawn in by_kind[stability.LEFT_OUT].items())
    assert {name for name, drawn in by_kind["one person"].items() if set(drawn.person) == {name}} == {
        "first",
        "third",
    }
    assert set(by_kind["one tense"]) == {"past", "present"}


def test_sets_without_a_story_for_some_emotion_are_left_out():
    _, labels, _ = noisy(1.0, 1.0, n_topics=2, width=2)
    kinds = {kind for kind, *_ in stability.draws(labels.assign(person="first"), 4, np.random.default_rng(0))}
    assert "one person" in kinds
    labels.loc[labels.emotion == "emotion0", "tense"] = "past"
    assert "present" not in {
        name
        for _, name, _ in stability.draws(labels, 4, np.random.default_rng(0))
        if name in ("past", "present")
    }


def published(name, low=-0.3, high=0.3, verdict="replicated"):
    entry = claims.ledger()[name]
    null = Null(kind="sim", n=100, low=low, high=high, p=0.01)
    return Claim(
        **entry.model_dump(include={"id", "chapter", "statement", "section", "paper", "paper_says", "unit"}),
        n_of=entry.n_of,
        rule="",
        estimate=0.7,
        ci=(0.6, 0.8),
        n=44,
        null=null,
        verdict=verdict,
    )


def test_verdict_of_another_estimate_follows_the_rule_and_the_published_null():
    claim = published("geometry.pc1_pleasure_r")
    paper_r = claim.paper
    assert claims.verdict_of(claim, 0.81 * paper_r) == "replicated"
    assert claims.verdict_of(claim, 0.79 * paper_r) == "partly"
    assert claims.verdict_of(claim, 0.29) == "not replicated"
    assert claims.verdict_of(published(claim.id, high=0.9), 0.81 * paper_r) == "not replicated"
    invalid = published("preferences.probe_r.hostile", verdict="instrument not valid")
    assert claims.verdict_of(invalid, -0.9) == "instrument not valid"
    assert claims.verdict_of(published("preferences.probe_r.hostile"), -0.7) == "replicated"
    with pytest.raises(EmolibError, match="needs more than an estimate"):
        claims.verdict_of(published("severity.tylenol.afraid"), 3.0)


def test_summary_counts_kinds_equally_and_names_the_weakest():
    table = pd.DataFrame(
        [
            {"kind": kind, "claim": name, "estimate": value, "stays": stays}
            for name in stability.HEADLINES
            for kind, value, stays in [
                ("often", 0.1, True),
                ("often", 0.2, True),
                ("often", 0.3, False),
                ("often", 0.4, True),
                ("once", 0.9, True),
            ]
        ]
    )
    kinds = stability.by_kind(table)
    found = stability.summary(kinds, {name: published(name) for name in stability.HEADLINES})
    assert list(found.claim) == list(stability.HEADLINES)
    assert found.stays.tolist() == pytest.approx([(0.75 + 1) / 2] * len(found))
    assert (found[["lowest", "highest"]] == [0.1, 0.9]).all(axis=None)
    assert (found[["weakest", "weakest_stays"]] == ["often", 0.75]).all(axis=None)


def by_hand(states, emotions, kept):
    """|r| of the first component with pleasure, from the kept stories, in plain NumPy."""
    means = np.array([states[kept & (emotions == word)].mean(axis=0) for word in WORDS], dtype=float)
    centred = means - means.mean(axis=0)
    normed = centred / np.sqrt((centred**2).sum(axis=1))[:, None]
    axis = np.linalg.eigh(np.cov(normed.T))[1][:, -1]
    pleasure = paper.human_ratings().pleasure
    rated = [i for i, word in enumerate(WORDS) if word in pleasure.index]
    return abs(np.corrcoef((normed @ axis)[rated], pleasure.loc[[WORDS[i] for i in rated]])[0, 1])


def test_one_topic_left_out_equals_a_plain_loop():
    states, emotions, topics, made = simulated(noise=1.5)
    labels, emotions = labelled(emotions, topics), np.asarray(emotions)
    left = {name: rows for kind, name, rows in stability.draws(labels, 0, None) if kind == stability.LEFT_OUT}
    assert len(left) == TOPICS
    maker = stability.Maker(emotions, made, made.layers)
    values = []
    for topic, rows in left.items():
        found = geometry.headlines(maker(states, rows), 3, [1, 2, 3], 0)["pc1_pleasure_r"]
        assert found == pytest.approx(by_hand(states[:, 3], emotions, np.not_equal(topics, topic)), abs=1e-4)
        values.append(found)
    assert np.std(values) > 1e-4


def test_preference_numbers_agree_with_plain_numpy():
    r = np.random.default_rng(0).uniform(-1, 1, len(WORDS))
    found = stability.preference_numbers(r, WORDS)
    pleasure = paper.human_ratings().pleasure
    mine = pd.Series(r, WORDS)
    assert found["preferences.probe_r.blissful"] == mine["blissful"]
    assert found["preferences.probe_r.hostile"] == mine["hostile"]
    assert found["preferences.probe_r.max_abs"] == max(abs(r))
    both = pd.concat([mine, pleasure], axis=1).dropna().to_numpy()
    assert found["preferences.probe_r_vs_valence_r"] == pytest.approx(np.corrcoef(both.T)[0, 1])


def test_without_a_change_the_published_numbers_come_back(profile):  # noqa: F811
    run = study.open(profile, "smoke", device="cpu")
    result = run.stability()
    published = {c.id: c for made in (run.geometry(), run.severity(), run.preferences()) for c in made.claims}
    table = result["variations"]
    assert set(table.claim) == set(stability.HEADLINES)
    assert {"seed", "layer", "place in the story", "neutral components", "stories drawn anew"} <= set(
        table.kind
    )
    own = table[(table.kind == "layer") & (table.variation == str(run.layer))].set_index("claim")
    for name in stability.HEADLINES:
        # The chapters of these two read other layers than the rest.
        if name.startswith("geometry") and name not in stability.LAYERLESS:
            assert own.estimate[name] == pytest.approx(published[name].estimate, abs=1e-4)
            assert own.stays[name]
    middle = table[(table.kind == "layer") & (table.variation == str(run.middle_layer))].set_index("claim")
    chosen = severity.best_choice(run.severity()["choices"]).layer
    moving = table[(table.kind == "layer") & (table.variation == str(chosen))].set_index("claim")
    for name in stability.HEADLINES[-4:]:
        assert middle.estimate[name] == pytest.approx(published[name].estimate, abs=1e-4)
    for name in stability.SEVERITY:
        assert moving.estimate[name] == pytest.approx(published[name].estimate, rel=1e-3)
        assert moving.stays[name]
    assert set(table[table.kind == "seed"].claim) == set(stability.SEEDED)
    kept = geometry.headlines(run.raw_vectors, run.layer, [1, 2, 3], 0)["pc1_pleasure_r"]
    raw = table[(table.kind == "neutral components") & (table.claim == "geometry.pc1_pleasure_r")]
    assert raw.estimate.item() == pytest.approx(kept, abs=1e-4)
