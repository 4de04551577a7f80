"""The notebooks run from top to bottom, on offline weights and bundled posts, and are kept without outputs."""

import warnings
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (the dev extra has it)")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (the dev extra has it)")
pytest.importorskip("ipykernel", reason="ipykernel is not installed (the dev extra has it)")

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_outputs_are_kept(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter_client and zmq, in this process
def test_a_tagger_is_trained_and_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second notebook loads what the first has saved."""
    monkeypatch.setenv("FLAIR_ESPVR_FEW_STEPS", "1")
    trained = executed("train_your_own.ipynb", tmp_path)
    model = trained[-1].strip()
    assert Path(model).is_file()
    assert any("image/png" in output for output in trained)

    monkeypatch.setenv("FLAIR_ESPVR_MODEL", model)
    tagged = executed("tag_posts.ipynb", tmp_path)
    assert any(output.startswith("80 posts, ") for output in tagged)
    assert (tmp_path / "report.html").is_file()


def executed(name: str, folder: Path) -> list[str]:
    """What the cells of a notebook have put out: the text, or the kinds of what is shown."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if output.get("name") != "stderr"]
    return [output.get("text") or " ".join(output.get("data", {})) for output in shown]
