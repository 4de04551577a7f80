"""The page as a Hugging Face Space: a folder to push as it is."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from flair_espvr.io.atomic import write_text
from flair_espvr.models.tagger import MultimodalTagger
from flair_espvr.web.demo import TITLE

_FILES = ("app.py", "requirements.txt", "README.md", ".gitattributes")


def export_space(tagger: MultimodalTagger, folder: Path, *, title: str = TITLE) -> list[Path]:
    """Write what a Space needs: model, program, requirements and description.

    Args:
        tagger: goes into `model.pt`, with its image backbone's weights, which the Space may not find elsewhere.
        folder: made where it is not there; files of the same names are replaced.
        title: the page's heading.

    Returns:
        the files.

    Raises:
        OSError: one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.pt"
    tagger.save(model, include_backbone=tagger.region_embeddings is not None)
    values = {
        "TITLE": title,
        "VERSION": version("flair-espvr"),
        "GRADIO": version("gradio"),
    }
    for name in _FILES:
        text = files("flair_espvr.web").joinpath("space", f"{name.lstrip('.')}.template").read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", repr(value) if name == "app.py" else value)
        write_text(folder / name, text)
    return [model, *(folder / name for name in _FILES)]
