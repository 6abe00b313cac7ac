"""Takes out of the pages what this book does not use.

Jupyter Book adds the scripts of Thebe (live code from a server) to every page, twice, and the second
copy is an error in the browser's console.
"""


def setup(app):
    """Register the filter on every page's scripts."""
    app.connect("html-page-context", _without_thebe, priority=900)
    return {"parallel_read_safe": True, "version": "1"}


def _without_thebe(app, page, template, context, doctree) -> None:
    context["script_files"] = [script for script in context["script_files"] if not _is_thebe(script)]


def _is_thebe(script) -> bool:
    body = getattr(script, "attributes", {}).get("body", "")
    return "thebe" in f"{getattr(script, 'filename', '')}{body}".lower()
