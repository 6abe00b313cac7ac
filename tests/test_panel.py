"""The panel on steered preferences, opened in headless Chromium."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest

from emolib.errors import EmolibError
from emolib.figures.panel import preference_panel

STRENGTHS = (-0.3, 0.0, 0.3)
CATEGORIES = ("unsafe", "helpful")
# No mean ends in a 5: Python and JavaScript round these differently.
SLOPES = {"hostile": -2.4, "calm": 1.0, "blissful": 4.0}
TEXT = "say </script> & <b>bold</b> {} times"
SETTLED = 500  # milliseconds, longer than a dot's way


@pytest.fixture(scope="module")
def moves() -> pd.DataFrame:
    rows = []
    for emotion, strength, i in itertools.product(SLOPES, STRENGTHS, range(8)):
        unsteered = -3.5 + i if i < 4 else i - 2.2
        moved = strength * SLOPES[emotion] * (i - 1) / 4
        rows.append(
            {
                "emotion": emotion,
                "strength": strength,
                "activity": f"activity.{i}",
                "category": CATEGORIES[i // 4],
                "text": TEXT.format(i),
                "disposition": unsteered + moved,
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture
def page(request, moves, browser, tmp_path):
    """A page with the panel on it twice, as wide as the parameter says."""
    file = tmp_path / "page.html"
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    file.write_text(head + 2 * preference_panel(moves), encoding="utf-8")
    tab = browser.new_page(viewport={"width": getattr(request, "param", 700), "height": 900})
    tab.problems = []
    tab.on("console", lambda message: message.type == "error" and tab.problems.append(message.text))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.goto(f"file://{file}", wait_until="load")
    yield tab
    assert tab.problems == []
    tab.close()


def panels(page):
    return page.locator(".preference-panel").all()


def at(moves, emotion, strength) -> pd.Series:
    rows = moves[(moves.emotion == emotion) & (moves.strength == strength)]
    return rows.set_index("activity").disposition


def minus(text: str) -> str:
    return text.replace("-", "−")


def sentence(moves, emotion, strength) -> str:
    before, after = at(moves, emotion, 0.0), at(moves, emotion, strength)
    rising = int((after.round(2) > before.round(2)).sum())
    return minus(
        f"{emotion} at {strength:+.2f}: the mean moves from {before.mean():.2f} to {after.mean():.2f}; "
        f"{rising} of {len(after)} activities rise."
    )


def places(panel, kind="[data-activity]") -> dict[str, float]:
    """Centre of every dot in pixels, by activity; the hollow ones stand in the same order."""
    ids = panel.locator("[data-activity]").evaluate_all("all => all.map(dot => dot.dataset.activity)")
    measure = "all => all.map(dot => dot.getBoundingClientRect()).map(box => box.x + box.width / 2)"
    return dict(zip(ids, panel.locator(kind).evaluate_all(measure), strict=True))


def test_starts_blissful_at_the_nearest_positive_strength(page, moves):
    for panel in panels(page):
        assert panel.locator(".pp-status").inner_text() == sentence(moves, "blissful", 0.3)
        assert "+0.30 of the stream's mean norm" in panel.locator(".pp-controls").inner_text()
        names = panel.locator("option").evaluate_all("all => all.map(option => option.value)")
        assert names == ["blissful", "hostile", "calm"]
        assert panel.locator(".pp-name").all_inner_texts() == ["helpful", "unsafe", ""]


def test_keyboard_steers_one_panel_and_not_the_other(page, moves):
    first, second = panels(page)
    first.locator("select").focus()
    page.keyboard.press("ArrowDown")
    assert first.locator(".pp-status").inner_text() == sentence(moves, "hostile", 0.3)
    first.locator("input").focus()
    page.keyboard.press("ArrowLeft")
    unsteered = at(moves, "hostile", 0.0).mean()
    assert first.locator(".pp-status").inner_text().endswith(f"the mean stays at {unsteered:.2f}.")
    page.keyboard.press("ArrowLeft")
    assert first.locator(".pp-status").inner_text() == sentence(moves, "hostile", -0.3)
    assert first.locator("input").get_attribute("aria-valuetext").startswith("−0.30")
    assert second.locator(".pp-status").inner_text() == sentence(moves, "blissful", 0.3)


def test_lists_name_the_largest_moves(page, moves):
    panel = panels(page)[0]
    before, after = at(moves, "blissful", 0.0), at(moves, "blissful", 0.3)
    change = (after - before).sort_values()
    texts = moves.drop_duplicates("activity").set_index("activity").text

    def line(activity):
        return minus(f"{texts[activity]} {before[activity]:.2f} → {after[activity]:.2f}")

    assert panel.locator(".pp-rose li").all_inner_texts() == [line(a) for a in change.index[:-4:-1]]
    assert panel.locator(".pp-fell li").all_inner_texts() == [line(a) for a in change.index[change < 0]]


def test_dots_lie_as_their_dispositions_do(page, moves):
    panel = panels(page)[0]
    for emotion, steps in (("blissful", 1), ("hostile", 0)):
        panel.locator("select").select_option(emotion)
        panel.locator("input").press("End")
        for _ in range(steps):
            panel.locator("input").press("ArrowLeft")
        page.wait_for_timeout(SETTLED)
        found, wanted = pd.Series(places(panel)), at(moves, emotion, STRENGTHS[2 - steps]).round(2)
        assert found.sort_values().index.tolist() == wanted.sort_values().index.tolist()
        assert np.corrcoef(found, wanted[found.index])[0, 1] > 0.99999


def test_without_strength_every_dot_is_at_home(page):
    panel = panels(page)[0]
    home = places(panel, ".pp-before")
    page.wait_for_timeout(SETTLED)
    assert places(panel) != pytest.approx(home, abs=1)
    panel.locator("input").press("ArrowLeft")
    page.wait_for_timeout(SETTLED)
    assert places(panel) == pytest.approx(home, abs=0.05)
    assert panel.locator(".pp-lists").inner_text().count("none") == 2


def test_a_dot_tells_its_activity(page, moves):
    panel = panels(page)[0]
    page.wait_for_timeout(SETTLED)
    detail = panel.locator(".pp-detail")
    before, after = at(moves, "blissful", 0.0), at(moves, "blissful", 0.3)
    dot = panel.locator('[data-activity="activity.7"]')
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 + 1, box["y"] + box["height"] / 2)
    for each in (TEXT.format(7), f"{before['activity.7']:.2f} unsteered", f"{after['activity.7']:.2f} with"):
        assert each in detail.inner_text()
    assert dot.get_attribute("role") == "img"
    assert dot.get_attribute("aria-label").startswith(TEXT.format(7))
    dot.focus()
    page.keyboard.press("ArrowLeft")
    assert TEXT.format(6) in detail.inner_text()
    assert panel.locator("b", has_text="bold").count() == 1, "the text of an activity is no markup"


@pytest.mark.parametrize("page", [390], indirect=True)
def test_fits_a_phone(page):
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room
    select, slider = (panels(page)[0].locator(name).bounding_box() for name in ("select", "input"))
    assert slider["y"] >= select["y"] + select["height"]


def test_without_scripts_a_sentence_says_where_the_numbers_are(moves, browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(preference_panel(moves), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{file}")
    assert "results folder" in tab.locator("noscript").inner_text()
    assert not tab.locator("select").is_visible()
    context.close()


def test_the_full_table_stays_small():
    rng = np.random.default_rng(0)
    size = (35, 7, 64)
    index = pd.MultiIndex.from_product(map(range, size), names=["emotion", "strength", "activity"])
    table = index.to_frame(index=False)
    table = table.assign(
        emotion=table.emotion.map("emotion {}".format),
        strength=(table.strength - 3) / 10,
        category=(table.activity % 8).map("category {}".format),
        text=table.activity.map("do something that takes about sixty characters to tell {:4}".format),
        activity=table.activity.map("activity.main.category.{:02}".format),
    )
    values = rng.normal(0, 4, size)
    values[:, 3] = values[0, 3]
    snippet = preference_panel(table.assign(disposition=values.ravel()))
    assert len(snippet.encode()) < 150_000
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', snippet, re.S)[1])
    assert np.array(data["values"]).shape == size
    assert not re.search(r"https?://(?!www\.w3\.org/)|fetch\(", snippet)


def without_a_cell(moves):
    return moves.drop(index=5)


def with_a_cell_twice(moves):
    return pd.concat([moves, moves.iloc[[5]]])


def with_a_value(column, value):
    def change(moves):
        return moves.assign(**{column: [value, *moves[column].iloc[1:]]})

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda moves: moves.drop(columns=["category", "text"]), "no column category, text"),
        (lambda moves: moves.iloc[:0], "no rows"),
        (without_a_cell, r"lacks 1 cells, first hostile, -0\.3, activity\.5"),
        (with_a_cell_twice, r"a cell twice: hostile, -0\.3, activity\.5"),
        (with_a_value("disposition", np.nan), "a disposition that is not finite: hostile, -0.3, activity.0"),
        (with_a_value("disposition", "much"), "a disposition that is not finite"),
        (with_a_value("strength", np.inf), "a strength that is not finite"),
        (with_a_value("text", None), "a row without text"),
        (with_a_value("category", "neutral"), r"activity\.0 two texts or categories"),
        (lambda moves: moves[moves.strength != 0], "no strength 0"),
        (lambda moves: moves.assign(disposition=range(len(moves))), "two unsteered dispositions"),
    ],
)
def test_bad_tables_are_refused(moves, spoil, message):
    with pytest.raises(EmolibError, match=message):
        preference_panel(spoil(moves))
