"""The book, built small from the real model and opened in headless Chromium."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from emolib import claims

ROOT = Path(__file__).parent.parent
PAGES = [
    "index",
    "methods",
    "chapters/00_texts",
    "chapters/01_emotion_vectors",
    "chapters/02_geometry",
    "chapters/03_severity",
    "chapters/04_preferences_probe",
    "chapters/05_preferences_steering",
    "chapters/06_pretrain_vs_posttrain",
    "chapters/07_suppression",
    "chapters/08_posttrain_it_yourself",
    "chapters/90_stability",
    "chapters/91_calibration",
    "chapters/92_known_artefacts",
    "scorecard",
    "provenance",
    "rerun",
    "references",
]
CHAPTERS = [page for page in PAGES if page.startswith("chapters/")]
NOISE = re.compile(r"Warning|it/s\]|\d%\||Traceback|findfont|site-packages")


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The pages of a book at smoke scale, built by the Makefile in a copy of the working tree."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(
        listed, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # `-o`: the packages are those that run this test.
    command = ["make", "-o", ".venv/book", "html", "SCALE=smoke"]
    built = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return copy / "_build" / "html"


@pytest.fixture
def page(request, html, browser):
    """One page, loaded, with what it logged and what it asked the network for."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.problems, tab.requested = [], []
    tab.on("console", lambda message: message.type == "error" and tab.problems.append(message.text))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("request", lambda sent: sent.url.startswith("http") and tab.requested.append(sent.url))
    tab.goto(f"file://{html}/book/{request.param}.html", wait_until="load")
    tab.wait_for_timeout(1500)
    yield tab
    tab.close()


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_page_is_whole(page):
    assert page.problems == []
    assert page.requested == [], "a page must not need the network"
    boxes = page.locator(".search-button-field")
    assert sum(boxes.nth(i).is_visible() for i in range(boxes.count())) == 1
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
    assert broken == []
    text = page.inner_text("main")
    assert "(not run)" not in text
    assert not re.search(r"\{(claim|verdict|paper|setting|cite|doc)", text)
    for output in page.locator(".cell_output").all_inner_texts():
        assert not NOISE.search(output), output[:300]


@pytest.mark.parametrize("page", CHAPTERS, indirect=True)
def test_chapter_shows_figures_tables_and_verdicts(page):
    figures, captions = page.locator(".cell_output img"), page.locator("figcaption, .caption-number")
    assert figures.count() >= 2
    assert captions.count() >= figures.count()
    assert page.locator(".cell_output table").count() >= 1
    assert page.evaluate(
        "[...document.querySelectorAll('.cell_output img')].every(i => i.naturalWidth > 300)"
    )


@pytest.mark.parametrize("page", ["methods"], indirect=True)
def test_formulas_are_rendered(page):
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-container[display=true]").count() >= 4
    assert "\\frac" not in page.inner_text("main")


@pytest.mark.parametrize("page", ["scorecard"], indirect=True)
def test_scorecard_has_a_row_per_claim_and_says_which_were_not_run(page):
    rows = page.locator("[data-verdicts]")
    ids = rows.evaluate_all("all => all.map(row => row.id)")
    assert sorted(ids) == sorted(f"claim-{claim_id}" for claim_id in claims.ledger())
    for claim_id, entry in claims.ledger().items():
        verdict = page.locator(f'[id="claim-{claim_id}"]').get_attribute("data-verdicts").split("|")[0]
        assert (verdict == "not run") == (entry.missing is not None), claim_id


@pytest.mark.parametrize("page", ["scorecard"], indirect=True)
def test_first_questions_are_answered_on_the_first_screens(page):
    answers = page.locator(".sc-answers > section")
    assert answers.count() == 5
    bottom = "all => Math.max(...all.map(answer => answer.getBoundingClientRect().bottom))"
    assert answers.evaluate_all(bottom) <= 900
    page.set_viewport_size({"width": 390, "height": 844})
    assert answers.evaluate_all(bottom) <= 2 * 844


@pytest.mark.parametrize("page", CHAPTERS, indirect=True)
def test_chapter_links_its_record_near_the_top(page):
    line = page.locator("p.made")
    assert line.count() == 1
    assert line.bounding_box()["y"] < 900
    assert "provenance.html#record-" in line.locator("a").first.get_attribute("href")


@pytest.mark.parametrize("page", CHAPTERS, indirect=True)
def test_table_of_claims_fits_its_column(page):
    for table in page.locator("table.claims").all():
        wide, room = table.evaluate("t => [t.scrollWidth, t.closest('.cell_output').clientWidth]")
        assert wide <= room


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_page_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 392


@pytest.mark.parametrize("page", PAGES, indirect=True)
def test_links_lead_somewhere(page, html):
    here = Path(unquote(urlsplit(page.url).path))
    targets = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")
    assert targets
    for target in targets:
        parts = urlsplit(target)
        if parts.scheme or not parts.path:
            continue
        file = (here.parent / unquote(parts.path)).resolve()
        assert file.is_file(), target
        assert not parts.fragment or f'id="{unquote(parts.fragment)}"' in file.read_text("utf-8"), target
