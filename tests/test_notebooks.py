"""Notebooks in git: no outputs, a parameters cell, thin."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LONGEST_CELL = 15
COMMON = {"profile", "scale", "seed", "layer", "corpus"}
# What a chapter may be asked beyond that, by its notebook.
FURTHER = {
    "06_pretrain_vs_posttrain": {"training_seeds"},
    "07_suppression": {"training_seeds"},
    "08_posttrain_it_yourself": {"style", "method", "steps"},
}


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_notebook_is_valid_and_names_its_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"


def test_no_outputs_in_git(notebook):
    for cell in code_cells(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None


def test_one_parameters_cell_with_the_five_parameters_and_its_own(path, notebook):
    tagged = [cell for cell in code_cells(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    names = {line.split(" = ")[0] for line in tagged[0].source.splitlines()}
    assert names == COMMON | FURTHER.get(path.stem, set())


def test_cells_are_thin(notebook):
    for cell in code_cells(notebook):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= LONGEST_CELL
        assert "trace(" not in cell.source
        assert "import torch" not in cell.source


def test_every_figure_has_a_caption_and_a_name_of_its_own(notebook):
    figures = [
        cell.metadata.get("mystnb", {}).get("figure")
        for cell in code_cells(notebook)
        if "subplots(" in cell.source
    ]
    assert figures
    assert all(figure and figure["caption"] and figure["name"] for figure in figures)
    names = [figure["name"] for figure in figures]
    assert len(names) == len(set(names))


def test_every_notebook_is_in_the_book():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        assert f"book/chapters/{path.stem}\n" in contents
