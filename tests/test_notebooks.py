"""The notebooks of the course: they run top to bottom, and are committed with the outputs of such a run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = ("tutorial", "segmentation")
LARGEST = 1_000_000  # bytes of a notebook with its outputs
MOST_LINES = 25  # of a code cell
METADATA = {"kernelspec", "language_info"}
UNWANTED = re.compile(r"(?i)warning|deprecat|(?<![\w.])[/~]/?\w+/\w|\b[A-Z]:\\|site-packages|0x[0-9a-f]{6}")

Cell = dict[str, Any]


def read(name: str) -> Any:
    return nbformat.read(DOCS / f"{name}.ipynb", as_version=4)


def code_cells(notebook: Any) -> list[Cell]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: Cell) -> str:
    """Return the text of a cell's outputs."""
    texts = [output.get("text", "") for output in cell["outputs"]]
    texts += [output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
    return "".join(texts)


def kinds(cell: Cell) -> list[str]:
    """Return the kinds of a cell's outputs: text, or the types of what it shows. Texts in a row are one."""
    found: list[str] = []
    for output in cell["outputs"]:
        kind = output.get("name") or "+".join(sorted(output.get("data", {"error": None})))
        if found[-1:] != [kind]:
            found.append(kind)
    return found


def problems(cells: list[Cell]) -> Iterator[str]:
    """Yield what a reader must not see: errors, warnings, and paths of the machine."""
    for cell in cells:
        for output in cell["outputs"]:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                yield f"{output.get('name') or output['ename']} after {cell['source'][:60]!r}"
        if found := UNWANTED.search(printed(cell)):
            yield f"{found[0]!r} after {cell['source'][:60]!r}"


@pytest.mark.parametrize("text", ["/home/me/x.py:1", "C:\\me", "FutureWarning: no", "<object at 0x7f00aa>"])
def test_paths_and_warnings_in_outputs_are_found(text: str) -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": f"loss 3/4\n{text}\n"}]
    assert len([*problems([{"source": "x", "outputs": outputs}])]) == 1
    fine = [{"output_type": "stream", "name": "stdout", "text": "epoch 1/6, 32×32, train/validation 1.2"}]
    assert not [*problems([{"source": "x", "outputs": fine}])]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_committed_with_the_outputs_of_one_run(name: str) -> None:
    notebook = read(name)
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum("image/jpeg" in kind for cell in cells for kind in kinds(cell)) >= 5
    assert any("stdout" in kinds(cell) for cell in cells)
    assert not [*problems(cells)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_small_and_holds_nothing_of_the_machine(name: str) -> None:
    notebook = read(name)
    assert (DOCS / f"{name}.ipynb").stat().st_size < LARGEST
    assert set(notebook.metadata) == METADATA
    assert set(notebook.metadata.language_info) == {"name"}
    assert not any(cell.metadata for cell in notebook.cells)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_cells_are_short_and_it_compares_with_the_library(name: str) -> None:
    cells = code_cells(read(name))
    long = [cell["source"] for cell in cells if len(cell["source"].splitlines()) > MOST_LINES]
    assert not long
    assert sum("np.testing.assert_" in cell["source"] for cell in cells) >= 5


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_links_lead_to_files(name: str) -> None:
    text = "\n".join(cell["source"] for cell in read(name).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert not [link for link in links if "://" not in link and not (DOCS / link).is_file()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs_top_to_bottom_with_outputs_like_the_committed_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # A user has no flags. Those of the tests make programs that take many times as long.
    monkeypatch.delenv("XLA_FLAGS")
    committed = read(name)
    notebook = committed.copy()
    notebook.cells = [nbformat.from_dict({**cell, "outputs": []}) for cell in committed.cells]
    NotebookClient(notebook, timeout=900, kernel_name="python3").execute(cwd=str(tmp_path))
    assert not [*problems(code_cells(notebook))]
    for new, old in zip(code_cells(notebook), code_cells(committed), strict=True):
        assert kinds(new) == kinds(old), new["source"]
