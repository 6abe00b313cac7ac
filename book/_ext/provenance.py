"""Where each number comes from: one record a chapter, and a link to it near the top of its page.

The directive `{records}` draws the records of what this book shows: of the fresh run, or of what is
published where a chapter has not been run here. A notebook's records are those of the results that it
asks its study for (`run.geometry()`), so a new chapter gets its link without a line of its own.
"""

import json
import re
from functools import cache
from pathlib import Path

import ledger
import nbformat
from docutils import nodes
from docutils.parsers.rst import Directive
from scorecard import page

from emolib import profiles, results
from emolib.files import sha256_of

NOTEBOOKS = Path("notebooks")
CHAPTER_PAGES = "book/chapters/"
ASKS = re.compile(r"\brun\.(\w+)\(")


class Records(Directive):
    """One record a chapter, in the order of the notebooks."""

    def run(self):
        found = records()
        order = [name for name in asked_by_notebooks() if name in found]
        order += [name for name in found if name not in order]
        if not order:
            return [nodes.paragraph("", "Nothing has been run.")]
        return page("records.html", records=[described(name, found[name]) for name in order])


def records() -> dict[str, dict]:
    """Every chapter's record, fresh or else published, with a sha256 for each of its tables."""
    profile = profiles.load(ledger.PROFILE).name
    found = {}
    folder = results.results_dir() / profile
    if folder.is_dir():
        for name, record in results.read_published(folder).chapters.items():
            found[name] = {**record, "from": "published"}
    for path in results.run_folder(profile, ledger.SCALE, ledger.CORPUS).glob("*/provenance.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        sums = {table: sha256_of(path.parent / f"{table}.parquet") for table in record["tables"]}
        found[path.parent.name] = {**record, "sha256": sums, "from": "this run"}
    return found


def machine_class(machine: dict) -> list[str]:
    """What a record says of its machine, without what it does not say."""
    words = [f"{machine['system']} {machine['processor']}", f"{machine['cores']} cores"]
    if "threads" in machine:
        instructions = " ".join([machine["capability"], *machine["instructions"]])
        words += [f"{machine['threads']} threads", instructions, machine["gpu"]]
    return [word for word in words if word]


def described(name: str, record: dict) -> dict:
    """A record with the commands that make it again and the page that shows it."""
    notebook = asked_by_notebooks().get(name)
    settings = {"SCALE": record["scale"], "SEED": record["seed"]}
    layer = record["chosen_layer"]
    corpus = ledger.CORPUS if record["from"] == "this run" else None
    if layer is not None:
        settings["LAYER"] = layer
    if corpus:
        settings["CORPUS"] = corpus
    given = " ".join(f"{key}={value}" for key, value in settings.items())
    parameters = f"-r profile {record['profile']} -r scale {record['scale']} -p seed {record['seed']}"
    parameters += f" -p layer {layer}" if layer is not None else ""
    parameters += f" -r corpus {corpus}" if corpus else ""
    return {
        **record,
        "name": name,
        "machine_class": ", ".join(machine_class(record["machine"])),
        "notebook": notebook,
        "make": f"make book PROFILE={record['profile']} {given}",
        "papermill": notebook and f"papermill {NOTEBOOKS}/{notebook}.ipynb out.ipynb --cwd . {parameters}",
        "foreign": [text for text, source in record["texts"].items() if not source["own"]],
    }


@cache
def asked_by_notebooks() -> dict[str, str]:
    """The first notebook that shows each result, by the result's name, in the order of the notebooks."""
    shown = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for name in asked_by(path):
            shown.setdefault(name, path.stem)
    return shown


def asked_by(path: Path) -> list[str]:
    """The results that a notebook asks its study for."""
    cells = nbformat.read(path, as_version=4).cells
    return [name for cell in cells if cell.cell_type == "code" for name in ASKS.findall(cell.source)]


def link_record(app, doctree) -> None:
    """Put the line with the records' links after a chapter's first paragraph."""
    docname = app.env.docname
    if not docname.startswith(CHAPTER_PAGES):
        return
    found = records()
    names = [name for name in asked_by(Path(app.env.doc2path(docname))) if name in found]
    first = next(iter(doctree.findall(nodes.paragraph)), None)
    if not names or first is None:
        return
    line = nodes.paragraph("", "How every figure and number on this page was made: ", classes=["made"])
    for place, name in enumerate(dict.fromkeys(names)):
        if place:
            line += nodes.Text(", ")
        uri = ledger.record_uri(app, docname, name)
        line += nodes.reference("", f"record of {name.replace('_', ' ')}", internal=True, refuri=uri)
    line += nodes.Text(".")
    first.parent.insert(first.parent.index(first) + 1, line)


def setup(app):
    """Register the directive, and the line on every chapter's page."""
    app.add_directive("records", Records)
    app.connect("doctree-read", link_record)
    return {"parallel_read_safe": True, "version": "1"}
