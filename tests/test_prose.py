"""No number about a result is typed in the book's prose: it comes from a claim, a table or a figure."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|hundred"
)
RESULT = re.compile(
    rf"""
    \b[A-Za-zρβη]\s?[=<>≈≤≥]\s?[-−+±]?\d*\.?\d+        # r = .53
    | \d[\d,.]*\s?(?:%|per\ cent|percent)               # 95 %
    | \d[\d,]*\s(?:out\s)?of\s(?:the\s)?\d[\d,]*        # 12 of 23
    | \b(?:{WORDS})\s(?:out\sof|of|in)\s(?:{WORDS})\b   # three of four
    | \b(?:\d+|{WORDS})(?:\s|-)(?:times|fold|sd)\b      # eight times
    | (?<![\w.])\d+/\d+(?![\w/])                        # 5/12
    | (?<![\w.])[-−+±]?\d*\.\d+(?![\w]|\.\d)            # .81
    | (?<!\w)\d{{1,3}}(?:,\d{{3}})+                     # 4,700
    """,
    re.VERBOSE,
)
# What is no result, with the reason. Each must be in use.
ALLOWED = {
    r"95 %(?= (interval|bootstrap|binomial|band|over \w+|of (what no effect|random|single|the)))": (
        "the level of all intervals and null bands"
    ),
    r"(?<=within each topic, )95 %": "the level of a null band, in a caption",
    r"Claude Sonnet 4\.5": "a name",
    r"CC BY 4\.0": "a licence",
    r"Python 3\.11": "a version to install",
}
UNREAD = (
    r"^(`{3,}|~{3,}).*?^\1",  # fenced code and directives
    r"\$\$.*?\$\$",
    r"\{[\w:-]+\}`[^`]*`",  # roles: claims, math, links, citations
    r"`[^`\n]*`",
    r"\]\([^)]*\)",
)


def blanked(found: re.Match) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def prose(text: str) -> str:
    """A text without its code, formulas, roles and links; every line keeps its place."""
    for pattern in UNREAD:
        text = re.sub(pattern, blanked, text, flags=re.DOTALL | re.MULTILINE)
    return text


def texts(path: Path) -> list[tuple[str, str]]:
    """The prose of a page or notebook with the place it stands in; captions are prose."""
    if path.suffix == ".md":
        return [(path.name, prose(path.read_text(encoding="utf-8")))]
    found = []
    for cell in nbformat.read(path, as_version=4).cells:
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        found.append((f"{path.name}, cell {cell.id}", prose(cell.source * (cell.cell_type == "markdown"))))
        found.append((f"{path.name}, caption of cell {cell.id}", prose(caption)))
    return found


def typed_numbers(path: Path) -> list[str]:
    """File, line and number of everything that looks like a result."""
    found = []
    for place, text in texts(path):
        for allowed in ALLOWED:
            text = re.sub(allowed, blanked, text)
        for number, line in enumerate(text.splitlines(), 1):
            found += [f"{place}, line {number}: {match[0]}" for match in RESULT.finditer(line)]
    return found


PAGES = sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")])


def test_there_is_prose():
    assert {path.suffix for path in PAGES} == {".md", ".ipynb"}
    assert sum(len(text) for path in PAGES for _, text in texts(path)) > 10_000


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_result_is_typed(path):
    assert typed_numbers(path) == []


def test_every_exception_is_in_use():
    everything = "\n".join(text for path in PAGES for _, text in texts(path))
    assert [allowed for allowed in ALLOWED if not re.search(allowed, everything)] == []


PLANTED = {
    "The axis is pleasure (r = .53).": "r = .53",
    "It reaches −.74 at best.": "−.74",
    "That is 26 % of the variance.": "26 %",
    "In 95 % of pairs the answer flips.": "95 %",
    "It holds in 9 of 12 scenarios.": "9 of 12",
    "It holds in nine of twelve scenarios.": "nine of twelve",
    "That is eight times chance.": "eight times",
    "Top-1 is 5/12.": "5/12",
    "After 1,200 stories it stands.": "1,200",
}


@pytest.mark.parametrize("suffix", [".md", ".ipynb"])
@pytest.mark.parametrize("sentence", PLANTED)
def test_a_planted_number_is_found(sentence, suffix, tmp_path):
    path = tmp_path / f"page{suffix}"
    text = f"# Title\n\n```python\nr = .99\n```\n\n{sentence} See {{claim}}`a.b`, {{math}}`r = .5`, `x = .5`."
    if suffix == ".ipynb":
        cells = [nbformat.v4.new_code_cell("r = .98"), nbformat.v4.new_markdown_cell(text)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    else:
        path.write_text(text, encoding="utf-8")
    (found,) = typed_numbers(path)
    assert found.startswith(path.name)
    assert found.endswith(f"line 7: {PLANTED[sentence]}")


def test_a_planted_number_in_a_caption_is_found(tmp_path):
    cell = nbformat.v4.new_code_cell("plot()")
    cell.metadata["mystnb"] = {"figure": {"caption": "The correlation is .53.", "name": "fig-x"}}
    path = tmp_path / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    (found,) = typed_numbers(path)
    assert found.endswith("line 1: .53")
