"""Shifts of readings by training, on states whose shift is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emolib import paper, profiles
from emolib.errors import EmolibError
from emolib.experiments import posttraining, shifts
from emolib.experiments.posttraining import BEFORE, PLACEBO, TRAININGS, Examined, Preferring, Shifted
from emolib.vectors import EmotionVectors

SMOKE = profiles.scale("smoke")
WIDTH, LAYERS, LAYER = 256, (0, 1), 1
N, N_CHATS, N_ITEMS, N_NEUTRAL = 40, 20, 30, 30
RATINGS = paper.human_ratings()
AROUSAL = RATINGS.arousal
PAPER = paper.posttraining_shift()["diff"]
KINDS = np.repeat([shifts.NEUTRAL, "praise"], N // 2)
CHATS = pd.DataFrame({"id": [f"c.{i}" for i in range(N_CHATS)], "message": "Hello."})
PUSHED = ["blissful", "calm", "angry", "bored", "hostile"]
STORIES = [name for name in ("angry", "calm", "bored", "happy", "bold", "sad") for _ in range(2)]
NAMES = tuple(dict.fromkeys([*AROUSAL.index, *posttraining.SHOWN, *PUSHED, *STORIES]))


def named(array: np.ndarray) -> EmotionVectors:
    origin = np.zeros((len(LAYERS), WIDTH), np.float32)
    return EmotionVectors(array.astype(np.float32), origin, NAMES, LAYERS, {}, "base", "corpus")


@pytest.fixture(scope="module")
def vectors() -> EmotionVectors:
    return named(np.random.default_rng(0).standard_normal((len(NAMES), len(LAYERS), WIDTH)))


def extremes() -> tuple[list[str], list[str]]:
    ranked = AROUSAL.sort_values(kind="stable").index
    return list(ranked[-15:]), list(ranked[:15])


def units(vectors, layer) -> np.ndarray:
    return vectors.at(layer) / np.linalg.norm(vectors.at(layer), axis=1, keepdims=True)


def states(vectors, composed, exuberant, placebo=None, in_text=1.0) -> dict[str, Shifted]:
    """States before, and after pushes of given strengths along single unit vectors.

    Every training also shifts all messages alike in a way of its own that stands for no emotion, and
    each message a little for itself. It favours neither calm nor reflective nor either end of arousal.
    What is written shifts `in_text` times as far as what is read.
    """
    rng = np.random.default_rng(5)
    shapes = (N, len(LAYERS), WIDTH), (N_CHATS, WIDTH), (N_CHATS, WIDTH)
    begun = [rng.standard_normal(shape) for shape in shapes]
    made = {BEFORE: Shifted(*begun, ("I see.",) * N_CHATS)}
    towards_by = {"composed": composed, "exuberant": exuberant, "flat": {}, PLACEBO: placebo or {}}
    for training, towards in towards_by.items():
        messages, chats, words = (each + 0.02 * rng.standard_normal(each.shape) for each in begun)
        mixture = 0.3 * rng.standard_normal(len(vectors.names))
        for i, layer in enumerate(LAYERS):
            strengths = mixture.copy()
            for group in (*extremes(), ["calm"], ["reflective"]):
                rows = [vectors.index(name) for name in group]
                strengths[rows] -= strengths[rows].mean()
            for name, strength in towards.items():
                strengths[vectors.index(name)] += strength
            messages[:, i] += strengths @ units(vectors, layer)
            if layer == LAYER:
                chats += strengths @ units(vectors, layer)
                words += in_text * strengths @ units(vectors, layer)
        made[training] = Shifted(messages, chats, words, (f"Now {training}.",) * N_CHATS)
    return made


def as_log_probabilities(odds: np.ndarray) -> np.ndarray:
    """Log-probabilities of ten words whose first five beat the others by these log-odds."""
    each = np.repeat(np.stack([odds, -odds], axis=-1) / 2, 5, axis=-1)
    return each - np.log(5) - 3


def preferring(seed: int) -> Preferring:
    rng = np.random.default_rng(seed)
    liking = rng.standard_normal(N_ITEMS)
    return Preferring(
        answers=as_log_probabilities(liking + 0.3 * rng.standard_normal((3, N_ITEMS))),
        states=rng.standard_normal((N_ITEMS, WIDTH)),
        pushed=as_log_probabilities(rng.standard_normal((N_ITEMS, 1 + len(PUSHED)))),
    )


def examined(seed: int) -> Examined:
    rng = np.random.default_rng(seed)
    tokens = [(word, "user", rng.standard_normal(WIDTH)) for word in ("A", " b", " c")]
    return Examined(
        likelihoods=rng.standard_normal(N_CHATS),
        stories=rng.standard_normal((len(STORIES), len(LAYERS), WIDTH)),
        tokens=(tokens, tokens[:2]),
    )


def run(vectors, read: dict[str, Shifted], scale=SMOKE, **changed):
    """The chapter on these shifts, and on anything for the rest."""
    models = (BEFORE, *TRAININGS)
    given = {
        "shifted": {0: read},
        "examined": {name: examined(i) for i, name in enumerate(models)},
        "preferring": {name: preferring(i) for i, name in enumerate(models)},
        "changes": {},
        "losses": pd.DataFrame({"training": ["composed"], "seed": [0], "step": [1], "loss": [3.0]}),
        "kinds": KINDS,
        "chats": CHATS,
        "deep_dives": ["praise", "isolation"],
        "story_emotions": STORIES,
        "pushed_emotions": PUSHED,
        "neutral": np.random.default_rng(7).standard_normal((N_NEUTRAL, len(LAYERS), WIDTH)),
        "ratings": RATINGS,
        "paper": PAPER,
        "layer": LAYER,
        "middle_layer": 0,
        "seed": 0,
    }
    return posttraining.run(**{**given, **changed}, vectors=vectors, scale=scale)


def verdicts(claims) -> dict[str, str]:
    return {claim.id.removeprefix("posttraining."): claim.verdict for claim in claims}


def quiet() -> dict[str, float]:
    return dict.fromkeys(extremes()[1], 1.0) | {"calm": 3.0, "reflective": 3.0}


def loud() -> dict[str, float]:
    return dict.fromkeys(extremes()[0], 1.0) | {"calm": -3.0}


def test_known_shifts_are_found_and_judged(vectors):
    assert verdicts(run(vectors, states(vectors, quiet(), loud())).claims) == {
        "composed.arousal_down": "replicated",
        "composed.calm_up": "replicated",
        "composed.reflective_up": "replicated",
        "exuberant.arousal_up": "replicated",
        "exuberant.calm_down": "replicated",
        "placebo.arousal_flat": "replicated",
        "composed.shift_consistency_r": "replicated",
        "composed.shift_predicts_text_r": "replicated",
        "exuberant.shift_consistency_r": "replicated",
        "exuberant.shift_predicts_text_r": "replicated",
    }


def test_the_opposite_shift_and_no_shift_are_not_replicated(vectors):
    found = verdicts(run(vectors, states(vectors, loud() | {"reflective": -3.0}, {})).claims)
    for name in ("composed.arousal_down", "composed.calm_up", "composed.reflective_up"):
        assert found[name] == "not replicated"
    assert found["exuberant.arousal_up"] == found["exuberant.calm_down"] == "not replicated"


def test_a_placebo_that_shifts_arousal_is_not_flat(vectors):
    found = verdicts(run(vectors, states(vectors, quiet(), {}, loud())).claims)
    assert found["placebo.arousal_flat"] == "not replicated"


def test_a_shift_that_the_placebo_shows_too_is_replicated_partly(vectors):
    outcome = run(vectors, states(vectors, {"calm": 3.0}, {}, {"calm": 4.0}))
    found = {claim.id: claim for claim in outcome.claims}["posttraining.composed.calm_up"]
    assert found.verdict == "partly"
    assert found.control.difference_ci[0] < 0


def test_words_that_shift_the_other_way_do_not_follow_the_reading(vectors):
    outcome = run(vectors, states(vectors, quiet(), loud(), in_text=-1.0))
    found = {claim.id: claim for claim in outcome.claims}
    for training in ("composed", "exuberant"):
        claim = found[f"posttraining.{training}.shift_predicts_text_r"]
        assert claim.verdict == "not replicated"
        assert claim.estimate < -0.9
        assert claim.n == N_CHATS


@pytest.mark.parametrize("n_changed", [0, 1])
def test_replies_that_hardly_change_predict_nothing(vectors, n_changed):
    """With no reply changed, or only one so that half of all halves show none, there is still a verdict."""
    models = states(vectors, quiet(), loud())
    words = models[BEFORE].words.copy()
    words[:n_changed] = models["composed"].words[:n_changed]
    models["composed"] = replace(models["composed"], words=words)
    found = {claim.id: claim for claim in run(vectors, models).claims}
    claim = found["posttraining.composed.shift_predicts_text_r"]
    if n_changed:
        assert claim.ci[1] - claim.ci[0] > 0.5
    else:
        assert (claim.estimate, claim.ci, claim.null.p) == (0, (0, 0), 1)
        assert claim.verdict == "not replicated"
    assert found["posttraining.exuberant.shift_predicts_text_r"].verdict == "replicated"


def test_text_claim_is_the_correlation_of_plain_mean_shifts(vectors):
    models = states(vectors, {"calm": 3.0}, {}, in_text=0.5)
    outcome = run(vectors, models)

    def mean_reading(rows, vector):
        return np.mean([row @ vector / np.linalg.norm(row) / np.linalg.norm(vector) for row in rows])

    shifts = np.array(
        [
            [
                mean_reading(getattr(models["composed"], place), vector)
                - mean_reading(getattr(models[BEFORE], place), vector)
                for place in ("chats", "words")
            ]
            for vector in vectors.at(LAYER)
        ]
    )
    claim = {claim.id: claim for claim in outcome.claims}["posttraining.composed.shift_predicts_text_r"]
    assert claim.estimate == pytest.approx(np.corrcoef(shifts.T)[0, 1])
    assert claim.ci[0] < claim.estimate < claim.ci[1]
    table = outcome["text_shifts"].query("training == 'composed'")
    assert list(table.emotion) == list(vectors.names)
    np.testing.assert_allclose(table[["before_reply", "in_text"]], shifts, atol=1e-6)
    assert len(outcome["text_shifts"]) == len(TRAININGS) * len(vectors.names)


def test_what_all_trainings_share_is_taken_out_with_the_placebo(vectors):
    """A push that all trainings have in common hides which reading belongs to which words."""
    models = states(vectors, {}, {})
    untouched = {place: getattr(models[BEFORE], place) for place in ("chats", "words")}
    models[PLACEBO] = replace(models[PLACEBO], **untouched)
    common = 1.5 * np.random.default_rng(8).standard_normal(len(vectors.names)) @ units(vectors, LAYER)
    for t in TRAININGS:
        models[t] = replace(models[t], chats=models[t].chats + common, words=models[t].words + common)
    table = run(vectors, models, shifted={2: models})["text_specificity"]
    assert set(table.seed) == {2}

    def mean_shift(training, place):
        read = [
            (each / np.linalg.norm(each, axis=1, keepdims=True)) @ units(vectors, LAYER).T
            for each in (getattr(models[training], place), getattr(models[BEFORE], place))
        ]
        return (read[0] - read[1]).mean(axis=0)

    found = table.set_index(["what", "reading", "text"]).r
    assert len(found) == len(TRAININGS) ** 2 + (len(TRAININGS) - 1) ** 2
    for (what, reading, text), r in found.items():
        before_reply, in_text = mean_shift(reading, "chats"), mean_shift(text, "words")
        if what == "beyond the placebo":
            before_reply, in_text = (
                each - mean_shift(PLACEBO, place)
                for each, place in ((before_reply, "chats"), (in_text, "words"))
            )
            assert r > 0.8 if reading == text else abs(r) < 0.5
        else:
            assert r > 0.8
        assert r == pytest.approx(np.corrcoef(before_reply, in_text)[0, 1], abs=1e-6)


def test_tables_hold_plain_means_over_messages(vectors):
    models = states(vectors, {"calm": 3.0}, {"calm": -3.0})
    outcome = run(vectors, models)
    groups = {"neutral": KINDS == "neutral", "challenging": KINDS == "praise", "all": np.full(N, True)}

    def plain(training: str, layer: int, members: np.ndarray) -> np.ndarray:
        vector = vectors.at(layer)[vectors.index("calm")]
        cosines = [
            [
                row @ vector / np.linalg.norm(row) / np.linalg.norm(vector)
                for row in models[name].messages[:, layer]
            ]
            for name in (training, BEFORE)
        ]
        return np.subtract(*cosines)[members]

    table = outcome["shifts"].set_index(["training", "kind", "emotion"])
    assert len(table) == len(TRAININGS) * len(groups) * len(vectors.names)
    for training in TRAININGS:
        for kind, members in groups.items():
            row, values = table.loc[(training, kind, "calm")], plain(training, LAYER, members)
            assert row["shift"] == pytest.approx(values.mean(), abs=1e-6)
            assert row.after - row.before == pytest.approx(row["shift"], abs=1e-9)
            error = values.std(ddof=1) / np.sqrt(len(values))
            assert row.high - row["shift"] == pytest.approx(
                error * (2.0930 if kind != "all" else 2.0227), rel=1e-3
            )
            assert row.n == members.sum()
            assert row.paper == PAPER["calm"]
    calm = outcome["shifts"].query("kind == 'all' and emotion == 'calm'").set_index("training")
    assert calm.loc["composed", "shift"] > calm.loc["composed", "null_high"]
    assert calm.loc["exuberant", "shift"] < calm.loc["exuberant", "null_low"]
    by_layer = outcome["by_layer"].query("what == 'calm'").set_index(["training", "layer"])
    for layer in LAYERS:
        found = by_layer.loc[("exuberant", layer), "shift"]
        assert found == pytest.approx(plain("exuberant", layer, groups["all"]).mean(), abs=1e-6)
    assert len(outcome["by_layer"]) == len(TRAININGS) * len(LAYERS) * len(posttraining.QUANTITIES)


def test_claims_count_in_the_spread_of_random_directions(vectors):
    models = states(vectors, {"calm": 3.0}, {})
    outcome = run(vectors, models, SMOKE.model_copy(update={"n_null": 1000}))
    found = {claim.id: claim for claim in outcome.claims}["posttraining.composed.calm_up"]
    drawn = np.random.default_rng(9).standard_normal((4000, len(vectors.names))) @ units(vectors, LAYER)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    mean = {}
    for name in (BEFORE, "composed", PLACEBO):
        rows = models[name].messages[:, LAYER]
        mean[name] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    calm = units(vectors, LAYER)[vectors.index("calm")]
    spread = ((mean["composed"] - mean[BEFORE]) @ drawn.T).std()
    assert found.estimate == pytest.approx((mean["composed"] - mean[BEFORE]) @ calm / spread, rel=0.1)
    # The control is counted in the same unit, not in the spread of its own training.
    assert found.control.estimate == pytest.approx((mean[PLACEBO] - mean[BEFORE]) @ calm / spread, rel=0.1)
    assert (found.null.low, found.null.high) == pytest.approx((-1.96, 1.96), abs=0.25)
    row = outcome["expected"].set_index(["training", "what"]).loc[("composed", "calm")]
    assert (row.z, row.low, row.high, row.n) == (found.estimate, *found.ci, N)
    assert len(outcome["expected"]) == len(TRAININGS) * len(posttraining.QUANTITIES)


def test_arousal_axis_is_the_difference_of_means(vectors):
    high, low = extremes()
    by_name = dict(zip(vectors.names, units(vectors, 0), strict=True))
    expected = np.mean([by_name[n] for n in high], axis=0) - np.mean([by_name[n] for n in low], axis=0)
    np.testing.assert_allclose(posttraining.arousal_axis(vectors, AROUSAL, 0), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(EmolibError, match="30 are needed"):
        posttraining.arousal_axis(vectors, pd.Series({"calm": 0.1}), 0)


def test_the_same_model_twice_is_refused(vectors):
    models = states(vectors, {}, {})
    with pytest.raises(EmolibError, match="read the same everywhere"):
        run(vectors, models | {"composed": models[BEFORE]})


def test_the_first_seed_is_judged_and_every_seed_shown(vectors):
    found, missed = states(vectors, quiet(), loud()), states(vectors, loud(), quiet())
    outcome = run(vectors, found, shifted={3: found, 4: missed})
    table = outcome["by_seed"].set_index(["seed", "claim"])
    assert list(dict.fromkeys(outcome["by_seed"].seed)) == [3, 4]
    assert len(table) == 2 * len(outcome.claims)
    for claim in outcome.claims:
        row = table.loc[(3, claim.id)]
        assert (row.estimate, row.low, row.high) == (claim.estimate, *claim.ci)
        assert (row.null_low, row.null_high, row.verdict) == (claim.null.low, claim.null.high, claim.verdict)
    arousal = "posttraining.composed.arousal_down"
    assert table.loc[(3, arousal), "verdict"] == "replicated"
    assert table.loc[(4, arousal), "verdict"] == "not replicated"
    turned = run(vectors, found, shifted={4: missed, 3: found})
    assert verdicts(turned.claims)["composed.arousal_down"] == "not replicated"
    assert turned["text_shifts"].in_text[0] != outcome["text_shifts"].in_text[0]


def test_layers_that_shift_alike_and_apart(vectors):
    """The same vectors in both layers: the composed shift is the same in both, the exuberant one reversed."""
    same = named(np.repeat(vectors.array[:, :1], 2, axis=1))
    long = 1000 * np.ones(WIDTH)
    push = np.random.default_rng(1).standard_normal(WIDTH)
    models = states(same, quiet(), loud())
    begun = np.broadcast_to(long, (N, len(LAYERS), WIDTH)) + models[BEFORE].messages
    signs = {"composed": (1, 1), "exuberant": (1, -1), "flat": (1, 1), PLACEBO: (1, 1)}
    planted = {BEFORE: begun} | {t: begun + np.outer(sign, push) for t, sign in signs.items()}
    planted = {name: replace(models[name], messages=rows) for name, rows in planted.items()}
    table = run(same, planted)["layer_similarity"].set_index(["training", "layer", "other"]).r
    assert len(table) == len(TRAININGS) * len(LAYERS) ** 2
    assert table["composed", 0, 1] == pytest.approx(1, abs=1e-3)
    assert table["exuberant", 0, 1] == table["exuberant", 1, 0] == pytest.approx(-1, abs=1e-3)
    assert table["exuberant", 0, 0] == pytest.approx(1)


def test_vectors_that_were_turned_are_found_turned_by_the_same_angle(vectors):
    angle = 0.5
    axes = np.linalg.qr(np.random.default_rng(2).standard_normal((WIDTH, WIDTH)))[0]
    kinds = len(STORIES) // 2
    straight, aside = axes[:kinds], axes[kinds : 2 * kinds]
    turned = np.cos(angle) * straight + np.sin(angle) * aside
    apart = 0.3 * axes[-1] * np.tile([1, -1], kinds)[:, None]  # a story's own, gone in the mean of two

    def told(*by_layer) -> np.ndarray:
        return np.stack([5 * axes[-2] + apart + np.repeat(each, 2, axis=0) for each in by_layer], axis=1)

    of = {name: examined(0) for name in (BEFORE, *TRAININGS)}
    read = {name: told(straight, straight) for name in of} | {"composed": told(straight, turned)}
    given = {name: replace(of[name], stories=read[name]) for name in of}
    table = run(vectors, states(vectors, {}, {}), examined=given)["rotation"]
    assert len(table) == len(TRAININGS) * len(LAYERS)
    for row in table.itertuples():
        expected = np.cos(angle) if (row.training, row.layer) == ("composed", 1) else 1
        assert (row.low, row.median, row.high) == pytest.approx((expected,) * 3)


def test_share_of_a_weight_change_in_the_emotion_space():
    """Vectors span ten coordinates of each layer, so that the share of a change in them is plain."""
    rng = np.random.default_rng(3)
    array = np.zeros((len(NAMES), len(LAYERS), WIDTH))
    array[:, 0, :10], array[:, 1, 10:20] = rng.standard_normal((2, len(NAMES), 10))
    made = named(array)
    neutral = np.zeros((N_NEUTRAL, len(LAYERS), WIDTH))
    neutral[:, 0, :20] = neutral[:, 1, :20] = rng.standard_normal((N_NEUTRAL, 20))

    inside, mixed = np.zeros((2, len(LAYERS), 4, WIDTH), np.float32)
    inside[:, :, :10] = rng.standard_normal((4, 10))
    mixed[:] = rng.standard_normal((len(LAYERS), 4, WIDTH)) * rng.uniform(0.2, 2, WIDTH)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    changes = {
        "composed": {"reads": inside, "writes": inside},
        "exuberant": {"reads": mixed, "writes": mixed},
        "flat": {"reads": turn @ mixed, "writes": turn @ mixed},
    }
    outcome = run(made, states(made, quiet(), loud()), changes=changes, neutral=neutral)
    table = outcome["weights"].set_index(["training", "layer", "side"])
    # Nothing that is modelled comes before the first layer, so that it only writes.
    assert set(table.index) == {
        (t, *at) for t in changes for at in ((0, "writes"), (1, "reads"), (1, "writes"))
    }
    share = table.share
    assert share["composed", 0, "writes"] == pytest.approx(1)
    assert share["composed", 1, "writes"] == pytest.approx(0, abs=1e-12)
    assert share["composed", 1, "reads"] == pytest.approx(1), "a layer reads what the one before it wrote"
    for layer, side, space in ((0, "writes", 0), (1, "reads", 0), (1, "writes", 1)):
        squares = (mixed[layer].astype(float) ** 2).sum(axis=0)
        by_hand = squares[10 * space : 10 * space + 10].sum() / squares.sum()
        assert share["exuberant", layer, side] == pytest.approx(by_hand, rel=1e-4)
    for column in table.columns:
        np.testing.assert_allclose(table.loc["flat", column], table.loc["exuberant", column], rtol=1e-4)
    # Ten random dimensions hold 10 of 256 parts of a change, and 10 of 20 where the stream has 20.
    assert (table.null_low < 10 / WIDTH).all()
    assert (table.null_high > 10 / WIDTH).all()
    assert (table.null_high < 0.1).all()
    held = table.loc["composed"]
    assert ((held.stream_low < 0.5) & (held.stream_high > 0.5)).all()
    assert (held.stream_high < 0.9).all()


def test_without_a_change_of_the_stream_the_table_is_empty_and_has_its_columns(vectors):
    table = run(vectors, states(vectors, {}, {}))["weights"]
    assert table.empty
    assert {"training", "layer", "side", "share"} <= set(table.columns)


def test_preferences_are_compared_with_those_before(vectors):
    before, other = preferring(0), preferring(1)
    changed = Preferring(other.answers, before.states, other.pushed)
    given = {BEFORE: before, "composed": before, "exuberant": changed}
    table = run(vectors, states(vectors, {}, {}), preferring=given)["preferences"].set_index("training")
    assert list(table.index) == list(given)
    for training in (BEFORE, "composed"):
        assert table.loc[training, ["scores_r", "probes_r"]].tolist() == pytest.approx([1, 1])
    assert table.loc["composed", "steering_r"] == table.loc[BEFORE, "steering_r"]
    scores, probes = {}, {}
    for name, each in given.items():
        odds = each.answers[..., 0] - each.answers[..., 5]  # all words of a side are equally likely
        a, b, c = odds
        between = np.mean([np.corrcoef(*pair)[0, 1] for pair in ((a, b), (a, c), (b, c))])
        assert table.loc[name, "reliability"] == pytest.approx(3 * between / (1 + 2 * between))
        assert table.loc[name, "valid"] == (3 * between / (1 + 2 * between) >= 0.8)
        scores[name] = sum((row - row.mean()) / row.std() for row in odds) / 3
        centred = each.states - each.states.mean(axis=0)
        read = [[row @ v / np.linalg.norm(row) for row in centred] for v in units(vectors, 0)]
        probes[name] = np.array([np.corrcoef(row, scores[name])[0, 1] for row in read])
        for emotion in ("blissful", "hostile"):
            assert table.loc[name, emotion] == pytest.approx(probes[name][vectors.index(emotion)], abs=1e-6)
        pushed = each.pushed[..., 0] - each.pushed[..., 5]
        effects = [(pushed[:, 1 + i] - pushed[:, 0]).mean() for i in range(len(PUSHED))]
        own = probes[name][[vectors.index(emotion) for emotion in PUSHED]]
        assert table.loc[name, "steering_r"] == pytest.approx(np.corrcoef(effects, own)[0, 1])
        assert table.loc[name, "n"] == N_ITEMS
    for column, found in (("scores_r", scores), ("probes_r", probes)):
        by_hand = np.corrcoef(found["exuberant"], found[BEFORE])[0, 1]
        assert table.loc["exuberant", column] == pytest.approx(by_hand, abs=1e-6)
        assert abs(by_hand) < 0.9


def test_tokens_and_replies_stand_by_model_and_message(vectors):
    models = states(vectors, {}, {})
    given = {name: examined(i) for i, name in enumerate((BEFORE, *TRAININGS))}
    outcome = run(vectors, models, examined=given)
    tokens = outcome["tokens"]
    assert len(tokens) == len(given) * 5 * len(posttraining.SHOWN)
    shown = dict(list(tokens.groupby(["training", "prompt", "position"])))
    for training, each in given.items():
        for prompt, texts in zip(("praise", "isolation"), each.tokens, strict=True):
            for position, (text, part, state) in enumerate(texts):
                own = shown[training, prompt, position]
                assert set(own.token) == {text}
                assert set(own.part) == {part}
                readings = own.set_index("emotion").reading
                for emotion in posttraining.SHOWN:
                    vector = units(vectors, LAYER)[vectors.index(emotion)]
                    by_hand = vector @ state / np.linalg.norm(state)
                    assert readings[emotion] == pytest.approx(by_hand, abs=1e-6)
    replies = outcome["replies"]
    assert len(replies) == len(given) * N_CHATS
    for training, each in given.items():
        own = replies[replies.training == training]
        assert list(own.reply) == list(models[training].replies)
        assert list(own.id) == list(CHATS.id)
        np.testing.assert_array_equal(own.log_probability, each.likelihoods)
