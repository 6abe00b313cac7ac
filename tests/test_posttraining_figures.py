"""What the figures of the chapters on post-training show is what their tables hold."""

import html
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from emolib import claims, figures

mpl.use("Agg")

TEXT = ["<|im_start|>", "user", "\n", " a", " <b>", " &"]
PARTS = ["template"] * 3 + ["user"] * 3
BEFORE = [0.9, 0.0, 0.1, 0.2, 0.3, 0.4]
CHANGE = [0.5, 0.0, 0.0, -0.04, 0.0, 0.02]


@pytest.fixture
def tokens() -> pd.DataFrame:
    rows = []
    for i, (token, part) in enumerate(zip(TEXT, PARTS, strict=True)):
        for training, reading in (("before", BEFORE[i]), ("composed", BEFORE[i] + CHANGE[i])):
            rows.append({"prompt": "praise", "position": i, "token": token, "part": part})
            rows[-1] |= {"training": training, "emotion": "calm", "reading": reading}
    # As they might be handed over: in no order.
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def spans(cell: str) -> list[tuple[str, float, tuple[int, int, int]]]:
    """Text, number and ground of every token in a piece of HTML."""
    found = re.findall(r'rgb\((\d+),(\d+),(\d+)\);[^"]*" title="([^"]+)">(.*?)</span>', cell)
    return [(html.unescape(text), float(number), (int(r), int(g), int(b))) for r, g, b, number, text in found]


def test_token_maps_show_centred_readings_and_changes_in_the_order_of_the_text(tokens):
    before, after = re.findall(r"<small>.*?</p>", figures.token_maps(tokens, ["composed"]))
    shown = [text.replace("\n", "↵") for text in TEXT]
    assert [text for text, _, _ in spans(before)] == shown
    np.testing.assert_allclose([v for _, v, _ in spans(before)], np.subtract(BEFORE, 0.25), atol=6e-4)
    np.testing.assert_allclose([v for _, v, _ in spans(after)], CHANGE, atol=6e-4)


def test_token_maps_colour_by_the_users_words(tokens):
    after = re.findall(r"<small>.*?</p>", figures.token_maps(tokens, ["composed"]))[1]
    redder = [red - blue for _, _, (red, _, blue) in spans(after)]
    # The template's change is far larger, and must not bleach the words'.
    assert redder[3] < -100, "a fall is blue"
    assert 30 < redder[5] < redder[0], "a rise is red, half as far as it goes"
    assert abs(redder[4]) < 10, "no change is white"


def test_replies_are_escaped_and_stand_under_their_message():
    rows = [
        {
            "training": training,
            "id": f"chat.{i}",
            "message": f"Is {i} <i>?",
            "reply": f"{training} <{i}> & more",
        }
        for training in ("before", "composed")
        for i in range(4)
    ]
    shown = figures.replies_table(pd.DataFrame(rows), n_messages=2).to_html()
    order = [html.unescape(text) for text in re.findall(r"(?:before|composed) &lt;\d&gt; &amp; more", shown)]
    assert order == [f"{training} <{i}> & more" for i in range(2) for training in ("before", "composed")]
    assert "<i>" not in shown
    assert shown.count("Is 0") == 1


def test_the_tinted_side_is_the_one_of_the_ledger():
    rows = [
        {
            "training": training,
            "what": what,
            "z": 0.0,
            "low": -1.0,
            "high": 1.0,
            "null_low": -2.0,
            "null_high": 2.0,
        }
        for training in ("composed", "exuberant", "flat", "placebo")
        for what in ("arousal", "calm", "reflective")
    ]
    _, axes = figures.subplots(3)
    figures.expected_shifts(pd.DataFrame(rows), axes)
    tinted = {
        (ax.get_title(), round(bar.get_y() + bar.get_height() / 2)): (
            bar.get_x(),
            bar.get_x() + bar.get_width(),
        )
        for ax in axes
        for bar in ax.patches
        if bar.get_alpha()
    }
    wide = 2.3
    assert tinted == {
        ("arousal", 0): pytest.approx((-wide, 0)),
        ("arousal", 1): pytest.approx((0, wide)),
        ("arousal", 3): pytest.approx((-2, 2)),
        ("calm", 0): pytest.approx((0, wide)),
        ("calm", 1): pytest.approx((-wide, 0)),
        ("reflective", 0): pytest.approx((0, wide)),
    }


def test_agreement_is_bold_outside_its_null_and_beside_the_paper():
    measures = {"neutral_r": 0.5, "shift_vs_arousal_r": -0.1, "shift_larger_under_strain": 0.0012}
    rows = [
        {
            "training": "composed",
            "measure": measure,
            "estimate": value,
            "low": value - 0.1,
            "high": value + 0.1,
        }
        | {"null_low": -0.2, "null_high": 0.2, "n": 9}
        for measure, value in measures.items()
    ]
    table = figures.agreement_table(pd.DataFrame(rows)).data
    assert [("<b>" in cell) for cell in table.composed] == [True, False, False]
    assert "0.0012" in table.composed.iloc[2]
    paper = claims.ledger()["posttraining.natural.neutral_r"].paper
    assert list(table["the paper"]) == [f"{paper:.2f}", "−0.39", ""]


def test_every_contrast_lies_on_its_own_null():
    rows = [
        {"training": training, "place": place, "vectors": "story", "contrast": contrast}
        | {
            "low": contrast - 0.01,
            "high": contrast + 0.01,
            "null_low": -contrast / 4,
            "null_high": contrast / 2,
        }
        for training, contrast in (("before", 0.08), ("flat", 0.04))
        for place in ("before the reply", "over its own reply", "words alone")
    ]
    _, ax = figures.subplots()
    figures.contrasts_by_place(pd.DataFrame(rows), [ax])
    bands = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]
    assert bands == [pytest.approx(ends) for ends in [(-0.02, 0.04)] * 3 + [(-0.01, 0.02)] * 3]


def test_ranked_shifts_name_the_ends_in_order():
    shifts = np.array([0.3, -0.2, 0.1, 0.0, -0.4, 0.2])
    rows = pd.DataFrame({"training": "flat", "kind": "all", "emotion": list("abcdef"), "shift": shifts})
    _, ax = figures.subplots()
    figures.ranked_shifts(rows.assign(low=shifts - 0.1, high=shifts + 0.1), ax, n=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "f", "b", "e"]


def test_shares_of_both_sides_fit_their_common_axis():
    """The second panel goes higher than the first, and both share an axis."""
    layers = np.arange(4)
    sides = {"reads": 0.01 * layers, "writes": 0.1 * layers}
    weights = pd.concat(
        [
            pd.DataFrame(
                {"training": "flat", "layer": layers, "side": side, "share": share, "null_low": 0.0}
                | {"null_high": 0.01, "stream_low": 0.0, "stream_high": 2 * share}
            )
            for side, share in sides.items()
        ]
    )
    _, axes = figures.subplots(2, sharey=True)
    figures.weight_shares(weights, axes)
    assert all(ax.get_ylim()[0] == 0 and ax.get_ylim()[1] >= 0.6 for ax in axes)
    mpl.pyplot.close("all")


def test_every_reading_stands_beside_every_text_and_seeds_are_averaged():
    names, rows = ("flat", "composed", "placebo"), []
    for seed in (0, 1):
        for what, own in (("whole shifts", names), ("beyond the placebo", names[:2])):
            for i, reading in enumerate(own):
                for j, text in enumerate(own):
                    r = 0.1 * i - 0.2 * j + 0.02 * seed + 0.3 * (what == "whole shifts")
                    rows.append({"seed": seed, "what": what, "reading": reading, "text": text, "r": r})
    _, axes = figures.subplots(2)
    figures.text_specificity(pd.DataFrame(rows), axes)
    for ax, n in zip(axes, (3, 2), strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == list(names[:n])
        assert [label.get_text() for label in ax.get_yticklabels()] == list(names[:n])
        shown = [re.split("\n| … ", text.get_text().replace("−", "-")) for text in ax.texts]
        low = [0.1 * i - 0.2 * j + 0.3 * (n == 3) for i in range(n) for j in range(n)]
        expected = [[each + 0.01, each, each + 0.02] for each in low]
        np.testing.assert_allclose(np.array(shown, float), expected, atol=0.006)
    _, axes = figures.subplots(2)
    figures.text_specificity(pd.DataFrame([row for row in rows if row["seed"] == 1]), axes)
    assert [text.get_text() for text in axes[1].texts] == ["0.02", "−0.18", "0.12", "−0.08"]


def test_tables_of_preferences_and_seeds_hold_what_they_are_given():
    preferences = pd.DataFrame(
        [{"training": "flat", "reliability": 0.934, "valid": True, "steering_r": -0.918}]
    ).assign(steering_low=-0.97, steering_high=0.843, n=64)
    shown = figures.preferences_table(preferences).to_html()
    names = re.findall(r"<th[^>]*>(.*?)</th>", shown)
    cells = re.findall(r"<td[^>]*>(.*?)</td>", shown)
    assert names == ["training", "reliability", "valid", "steering_r", "n"]
    minus = "\N{MINUS SIGN}"
    r = f"{minus}0.92<br><small>{minus}0.97 … 0.84</small>"
    assert cells == ["flat", "0.93", "True", r, "64"]
    by_seed = pd.DataFrame(
        [
            {"seed": seed, "claim": f"posttraining.{name}", "estimate": seed + 0.25, "verdict": verdict}
            for name in ("flat.b", "flat.a")
            for seed, verdict in ((0, "partly"), (1, "replicated"))
        ]
    )
    table = figures.seeds_table(by_seed).data
    assert list(table.index) == ["flat.a", "flat.b"]
    assert table.loc["flat.b"].tolist() == [0.25, 1.25, "partly", "replicated"]
