"""The scorecard, the records and the roles: a small book of made-up claims, opened in Chromium."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_claims import evidence

from emolib import claims, machine, results
from emolib.figures import claims_table, scorecard
from emolib.files import sha256_of, write_json
from emolib.profiles import load
from emolib.results import Outcome

ROOT = Path(__file__).parent.parent
PROFILE = load("smollm2-135m-instruct")
OTHER = "another-model"
# What is published is checked when it is read; here it is made up, so it comes in behind that door.
CONF = """
import json, pathlib, sys
from emolib import claims, machine, results
sys.path.insert(0, {ext!r})
PUBLISHED = {{
    path.stem: claims.complete(claims.Claim(**each) for each in json.loads(path.read_text("utf-8")))
    for path in pathlib.Path("published").glob("*.json")
}}
results.published_profiles = lambda: sorted(PUBLISHED)
results.published_claims = PUBLISHED.__getitem__
extensions = ["myst_nb", "ledger", "scorecard", "provenance"]
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"
html_theme = "basic"
html_static_path = [{static!r}]
html_css_files = ["book.css"]
exclude_patterns = ["notebooks", "runs"]
"""
HELD, PART, FAILED, INVALID = (
    "geometry.pc1_pleasure_r",
    "geometry.pc2_arousal_r",
    "severity.tylenol.afraid",
    "preferences.probe_r.blissful",
)
JUDGED = {
    HELD: {"estimate": 0.9, "ci": (0.8, 0.95)},
    PART: {"estimate": 0.4, "ci": (0.35, 0.5)},
    FAILED: {"estimate": 0.1, "ci": (-0.4, 0.6), "null": (-2.0, 2.0)},
    INVALID: {"estimate": 0.5, "ci": (0.4, 0.6), "valid": False},
}
TESTED_ELSEWHERE = "geometry.cluster_ari"
UNRUN = sorted(set(claims.ledger()) - set(JUDGED) - {TESTED_ELSEWHERE})


def record(chapter: str) -> dict:
    return results.provenance(
        chapter=chapter, key=f"key-{chapter}", profile=PROFILE.name, scale="standard", seed=7,
        layer=PROFILE.read_layer, chosen_layer=None, dtype="bfloat16", compare_dtype="float32", device="cpu",
        fingerprint="f1", corpus="c1", texts={"stories": {"hash": "h", "own": True}}, seconds=1.0,
        machine=machine.describe("cpu"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """The pages of a book with one chapter; fresh claims of three chapters, published ones of two models."""
    here = tmp_path_factory.mktemp("book")
    ours = [claims.judge(evidence(claim_id, **found)) for claim_id, found in JUDGED.items()]
    for chapter in ("geometry", "severity", "preferences"):
        of_chapter = [claim for claim in ours if claim.chapter == chapter]
        tables = {"words": results.scorecard(of_chapter)}
        folder = here / "runs" / PROFILE.name / "standard" / chapter
        results.save(folder, Outcome(tables, of_chapter), record(chapter))
    elsewhere = [claims.judge(evidence(HELD, 0.2, (0.1, 0.3))), claims.judge(evidence(TESTED_ELSEWHERE))]
    for name, found in ((PROFILE.name, ours), (OTHER, elsewhere)):
        write_json(here / "published" / f"{name}.json", [claim.model_dump() for claim in found])

    shutil.copytree(ROOT / "book" / "_static", here / "static")
    (here / "conf.py").write_text(CONF.format(ext=str(ROOT / "book" / "_ext"), static=str(here / "static")))
    (here / "index.md").write_text(
        f"# Book\n\n```{{toctree}}\nbook/methods\nbook/rerun\nbook/scorecard\nbook/provenance\n"
        f"book/chapters/02_geometry\n```\n\n{{claim}}`{HELD}` {{paper}}`{HELD}` {{paper}}`{FAILED}` "
        f"{{verdict}}`{PART}` {{claim_n}}`{HELD}` {{setting}}`geometry.N_CLUSTERS`\n"
    )
    (here / "book" / "chapters").mkdir(parents=True)
    for name in ("scorecard", "provenance"):
        shutil.copy(ROOT / "book" / f"{name}.md", here / "book")
    (here / "book" / "methods.md").write_text("# Methods\n\n## Nulls and intervals\n")
    (here / "book" / "rerun.md").write_text("# Re-run it\n")
    (here / "notebooks").mkdir()
    cells = [
        nbformat.v4.new_markdown_cell(f"# Geometry\n\n**In short.** {{claim}}`{HELD}`.\n\nMore."),
        nbformat.v4.new_code_cell("result = run.geometry()"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "python3"}
    for folder in ("notebooks", "book/chapters"):
        nbformat.write(notebook, here / folder / "02_geometry.ipynb")
    environment = {**os.environ, "EMOLIB_RUNS": "runs", "EMOLIB_RESULTS": "none", "PYTHONPATH": str(ROOT)}
    environment |= {"EMOLIB_PROFILE": PROFILE.name, "EMOLIB_SCALE": "standard", "EMOLIB_CORPUS": ""}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", ".", "html"]
    built = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    return here


@pytest.fixture
def page(request, book, browser):
    """One page at desktop width; it may neither complain nor ask the network."""
    name = getattr(request, "param", "book/scorecard")
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    problems = []
    tab.on("console", lambda message: message.type == "error" and problems.append(message.text))
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda sent: sent.url.startswith("http") and problems.append(sent.url))
    tab.goto(f"file://{book}/html/{name}.html", wait_until="load")
    yield tab
    assert problems == []
    tab.close()


def shown(page) -> set[str]:
    """The ids of the claims that are not filtered out, folded or not."""
    ids = page.locator("[data-verdicts]").evaluate_all(
        "all => all.filter(row => !row.closest('[hidden]')).map(row => row.id)"
    )
    return {each.removeprefix("claim-") for each in ids}


def answer(page, heading: str) -> str:
    return " ".join(page.locator(f"section:has(> #{heading})").first.inner_text().split())


def test_answers_count_and_name_the_claims(page):
    statements = {claim_id: claims.ledger()[claim_id].statement for claim_id in JUDGED}
    held, failed, untested = (answer(page, name) for name in ("held", "failed", "untested"))
    assert "1 of 4 tested claims" in held
    assert statements[HELD] in held
    assert "0.90, paper 0.81" in held
    assert statements[PART] in held.split("in part")[1]
    assert "1 of 4 tested claims" in failed
    assert statements[FAILED] in failed
    assert f"{len(claims.ledger()) - 4} of {len(claims.ledger())} claims" in untested
    assert statements[INVALID] in untested


def test_chance_is_counted_by_null_and_after_correction(page):
    # Three of four made-up estimates lie outside their null; all p are .001, also after correction.
    text = answer(page, "chance")
    assert "3 of 4 estimates lie outside" in text
    assert "about 0 would" in text
    assert "4 keep p ≤ 0.05" in text
    assert "shuffled: 3 of 4" in text


def test_every_claim_has_one_row_with_its_rule(page):
    assert shown(page) == set(claims.ledger())
    for claim_id in JUDGED:
        rule = page.locator(f'[id="claim-{claim_id}"] .sc-rule')
        rule.locator("summary").click()
        entry = claims.ledger()[claim_id]
        assert entry.measure in rule.inner_text()
        assert claims.explain(entry.rule, entry.paper) in rule.inner_text()


def test_untested_claims_are_folded_and_say_what_it_would_take(page):
    row = page.locator(f'[id="claim-{UNRUN[0]}"]')
    assert not row.is_visible()
    page.locator("details.sc-section", has=row).locator("> summary").click()
    assert row.is_visible()
    assert "It would take" in row.inner_text()


def test_filters_by_keyboard(page):
    page.locator("select[name=verdict]").focus()
    page.keyboard.press("ArrowDown")
    assert shown(page) == {HELD}
    assert page.locator("output").inner_text() == f"1 of {len(claims.ledger())} claims"
    page.locator("button[type=reset]").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(50)
    assert shown(page) == set(claims.ledger())


def test_filters_by_section_and_model(page):
    page.locator("select[name=section]").select_option("1.5")
    wanted = {entry.id for entry in claims.ledger().values() if entry.section.split(",")[0] == "1.5"}
    assert shown(page) == wanted
    page.locator("select[name=section]").select_option("")
    page.locator("select[name=model]").select_option(OTHER)
    page.locator("select[name=verdict]").select_option("not replicated")
    assert shown(page) == {HELD}, "the verdict asked for is the chosen model's"
    cells = page.locator(f'[id="claim-{HELD}"] td')
    assert [cell.is_visible() for cell in cells.all()] == [False, False, True]
    assert "0.20" in cells.nth(2).inner_text()


def test_a_count_filters_and_a_link_to_a_claim_shows_it(page):
    page.locator(".sc-counts a[data-verdict=partly]").click()
    assert shown(page) == {PART}
    page.evaluate(f"location.hash = 'claim-{UNRUN[0]}'")
    page.locator(f'[id="claim-{UNRUN[0]}"]').wait_for()
    assert shown(page) == set(claims.ledger())


def test_without_scripts_all_is_there_and_no_filter(book, browser):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"file://{book}/html/book/scorecard.html")
    assert not tab.locator("form.sc-filters").is_visible()
    assert tab.locator(f'[id="claim-{HELD}"] .verdict').first.is_visible()
    row = tab.locator(f'[id="claim-{UNRUN[0]}"]')
    tab.locator("details.sc-section", has=row).locator("> summary").click()
    assert row.is_visible()
    context.close()


def test_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(f'[id="claim-{HELD}"] svg').first.bounding_box()
    assert 150 < box["width"] < 390


@pytest.mark.parametrize("page", ["index", "book/chapters/02_geometry"], indirect=True)
def test_a_number_leads_to_its_record(page):
    link = page.locator("a:has(> strong.claim)")
    assert re.sub(r"\s", " ", link.inner_text()) == "0.90 (0.80 … 0.95, n = 44)"
    assert claims.ledger()[HELD].measure in link.get_attribute("title")
    link.click()
    page.wait_for_url("**/book/provenance.html#record-geometry")
    page.locator("#record-geometry").wait_for()


@pytest.mark.parametrize("page", ["index"], indirect=True)
def test_roles_give_the_papers_number_and_the_codes(page):
    text = re.sub(r"\s+", " ", page.locator(".body").inner_text())
    assert f"0.81 {claims.ledger()[FAILED].paper_says} partly 44 10" in text


@pytest.mark.parametrize("page", ["book/provenance"], indirect=True)
def test_records_name_their_run_and_the_commands(page, book):
    text = page.locator("#record-geometry").inner_text()
    for part in ("f1", "c1", "key-geometry", "seed 7", "bfloat16", "nnsight"):
        assert part in text
    assert f"make book PROFILE={PROFILE.name} SCALE=standard SEED=7\n" in text
    assert "papermill notebooks/02_geometry.ipynb" in text
    page.locator("#record-geometry details summary").click()
    table = book / "runs" / PROFILE.name / "standard" / "geometry" / "words.parquet"
    assert sha256_of(table) in page.locator("#record-geometry").inner_text()
    assert "papermill" not in page.locator("#record-severity").inner_text(), "no notebook asks for it"


@pytest.mark.parametrize("page", ["book/chapters/02_geometry"], indirect=True)
def test_a_chapter_links_its_record_after_the_first_paragraph(page):
    paragraphs = page.locator("section > p")
    assert paragraphs.nth(0).inner_text().startswith("In short.")
    assert paragraphs.nth(1).locator("a").get_attribute("href") == "../provenance.html#record-geometry"


def test_a_plot_puts_every_value_at_its_place_on_the_axis():
    claim = claims.judge(evidence(HELD, 0.5, (0.25, 0.75), (-0.5, 0.0)))
    drawn = scorecard.effect_plot(claim, (-1.0, 1.0))
    assert 'class="effect-dot" cx="75.00%"' in drawn
    assert 'class="effect-interval" x1="62.50%" x2="87.50%"' in drawn
    assert 'class="effect-null" x="25.00%" y="3" width="25.00%"' in drawn
    assert 'class="effect-paper" x1="90.50%"' in drawn
    label = re.search('aria-label="(.*?)"', drawn)[1].replace("\u00a0", " ")
    assert label == "estimate 0.50, 95 % interval 0.25 … 0.75, null −0.50 … 0.00, paper 0.81"


def test_a_claim_without_estimate_has_no_plot():
    assert scorecard.effect_plot(claims.complete([])[0], (-1, 1)) == ""


def test_axes_hold_all_that_is_drawn_in_a_unit_and_zero():
    made = [
        claims.judge(evidence(HELD, 0.9, (0.8, 0.95), (0.1, 0.2))),
        claims.judge(evidence(INVALID, 0.5, (0.4, 0.6), (0.1, 0.2))),
        claims.judge(evidence(FAILED, 3.0, (2.0, 4.0), (-2.0, 2.0))),
    ]
    axes = scorecard.effect_axes(made)
    assert set(axes) == {"r", "z"}
    assert axes["r"][0] == 0
    assert axes["r"][1] > 0.95
    assert axes["z"][0] < -2
    assert axes["z"][1] > 4


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.805, "r", "0.81"), (-0.744, "r", "−0.74"), (0.158, "share", "16 %"), (-1.5, "z", "−1.50 sd")],
)
def test_numbers_as_prose_shows_them(value, unit, text):
    assert scorecard.number(value, unit) == text


def test_chapter_table_has_the_verdict_second_and_links_to_the_scorecard():
    claim = claims.judge(evidence(HELD)).model_copy(update={"paper_says": "p < .05 & more"})
    html = claims_table([claim]).to_html()
    heads = re.findall(r"<th[^>]*>([^<&]+)</th>", html)
    assert heads[:2] == ["claim", "verdict"]
    assert f'href="../scorecard.html#claim-{HELD}">geometry.<wbr>pc1_<wbr>pleasure_<wbr>r</a>' in html
    assert "verdict-replicated" in html
    assert "p &lt; .05 &amp; more" in html, "the paper's words are text, not markup"
