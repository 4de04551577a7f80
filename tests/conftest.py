"""Tiny encoders and backbones with random weights, and a corpus small enough to learn by heart."""

import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from flair.data import Corpus, Sentence
from hypothesis import settings
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizerFast,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizerFast,
)

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.errors import ClusterError
from flair_espvr.models.registry import model_class
from flair_espvr.tagging.backends.ray import cluster

settings.register_profile("on any machine", deadline=None)  # how long an example takes says more of what runs beside it
settings.load_profile("on any machine")

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?@#:/'-"
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
TINY = {"window": 1, "hidden_size": 16, "num_heads": 2, "num_layers": 1, "dropout": 0.1}
"""Hyperparameters of any model, where it has them."""

TINY_SWIN = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _logged_as_before() -> Iterator[None]:
    """What a worker keeps quiet in a process of its own is heard again by the tests after it."""
    logger = logging.getLogger("flair")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with segments, one wordpiece per letter, room for 32."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    torch.manual_seed(1)
    BertModel(BertConfig(vocab_size=len(vocabulary), **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa: byte-level wordpieces, two separators between the parts of a pair, no segments."""
    folder = tmp_path_factory.mktemp("roberta")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *LETTERS]
    (folder / "vocab.json").write_text(
        json.dumps({piece: index for index, piece in enumerate(pieces)}), encoding="utf-8"
    )
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    RobertaTokenizerFast(
        str(folder / "vocab.json"), str(folder / "merges.txt"), add_prefix_space=True, model_max_length=32
    ).save_pretrained(folder)
    torch.manual_seed(1)
    RobertaModel(RobertaConfig(vocab_size=len(pieces), pad_token_id=1, **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MPNet: BERT's wordpieces with RoBERTa's special tokens, no segments."""
    folder = tmp_path_factory.mktemp("mpnet")
    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    MPNetTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    torch.manual_seed(1)
    MPNetModel(MPNetConfig(vocab_size=len(vocabulary), pad_token_id=1, **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four pictures, each of one colour with a square of another."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for index, (ground, square) in enumerate(
        [("red", "blue"), ("white", "green"), ("black", "yellow"), ("grey", "red")]
    ):
        picture = Image.new("RGB", (60, 40), ground)
        picture.paste(Image.new("RGB", (20, 20), square), (10 * index, 5))
        paths.append(folder / f"{index}.png")
        picture.save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def region_embeddings(tmp_path_factory: pytest.TempPathFactory) -> ImageRegionEmbeddings:
    """A Swin of 2 x 2 regions with random weights, kept in a file: a saved tagger asks for the very same ones."""
    checkpoint = tmp_path_factory.mktemp("backbone") / "swin.safetensors"
    torch.manual_seed(2)
    arguments: dict[str, Any] = {"image_size": 64, "pretrained": False, "model_arguments": TINY_SWIN}
    random = ImageRegionEmbeddings("swin_tiny_patch4_window7_224", **arguments)
    save_file(random.backbone_state(), checkpoint)
    return ImageRegionEmbeddings("swin_tiny_patch4_window7_224", checkpoint=checkpoint, **arguments)


def tag(words: str, *entities: tuple[int, int, str], image: Path | None = None, caption: str | None = None) -> Sentence:
    sentence = Sentence(words.split())
    for start, end, type_ in entities:
        sentence[start:end].add_label("ner", type_)
    if image is not None:
        sentence.add_metadata("image", image)
    if caption is not None:
        sentence.add_metadata("caption", caption)
    return sentence


@pytest.fixture
def posts(pictures: list[Path]) -> list[Sentence]:
    """Eight posts: with and without pictures, captions and entities, one of two entities."""
    return [
        tag("kevin plays in oakland", (0, 1, "PER"), (3, 4, "LOC"), image=pictures[0], caption="a man"),
        tag("mary jane sings", (0, 2, "PER"), image=pictures[1]),
        tag("we are in new york", (3, 5, "LOC"), caption="a street"),
        tag("no names here", image=pictures[2]),
        tag("hi kevin", (1, 2, "PER")),
        tag("oakland", (0, 1, "LOC"), image=pictures[3], caption="a town"),
        tag("good morning"),
        tag("mary is in oakland now", (0, 1, "PER"), (3, 4, "LOC"), image=pictures[1], caption="a woman"),
    ]


@pytest.fixture
def corpus(posts: list[Sentence]) -> Corpus[Sentence]:
    return Corpus(train=posts, dev=posts[:4], test=posts[4:], name="eight posts")


@pytest.fixture
def build(
    tiny_bert: Path, region_embeddings: ImageRegionEmbeddings, corpus: Corpus[Sentence]
) -> Callable[..., ESPVRTagger]:
    """A tiny tagger over PER and LOC, of any model; keyword arguments go to its constructor."""

    def build_tagger(model: str = "espvr", **arguments: Any) -> Any:
        kind = model_class(model)
        defaults: dict[str, Any] = {
            "embeddings": CaptionedTransformerEmbeddings(str(tiny_bert)),
            "label_dictionary": corpus.make_label_dictionary("ner"),
            "label_type": "ner",
            "region_embeddings": region_embeddings,
            **{name: value for name, value in TINY.items() if name in kind.config_class.model_fields},
        }
        return kind(**{**defaults, **arguments})

    return build_tagger


COLUMN_POSTS = [
    ("Ada in Rome", "B-PER O B-LOC"),
    ("Bob Lee sang", "B-PER I-PER O"),
    ("to Oslo now", "O B-LOC O"),
    ("Cy met Eve", "B-PER O B-PER"),
]


def write_split(path: Path, posts: list[tuple[str, str]]) -> None:
    blocks = []
    for number, (words, tags) in enumerate(posts):
        lines = [f"{word}\t{tag}" for word, tag in zip(words.split(), tags.split(), strict=True)]
        blocks.append("\n".join([f"IMGID:{number}", *lines]))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    """Twelve posts to train on, four for dev and test each, a caption for every id."""
    folder = tmp_path / "posts"
    folder.mkdir()
    write_split(folder / "train.txt", COLUMN_POSTS * 3)
    write_split(folder / "valid.txt", COLUMN_POSTS)
    write_split(folder / "test.txt", COLUMN_POSTS)
    (folder / "captions.tsv").write_text("".join(f"{number}\ta room\n" for number in range(12)), encoding="utf-8")
    return folder


@pytest.fixture
def recipe_path(tmp_path: Path, corpus_folder: Path, tiny_bert: Path) -> Path:
    """ESPVR's text side, tiny, two epochs, two seeds."""
    recipe = {
        "corpus": {"folder": "posts", "captions": "posts/captions.tsv"},
        "embeddings": {"model": str(tiny_bert)},
        "model": {"regions": "none", "hidden_size": 8, "num_heads": 2, "num_layers": 1, "dropout": 0.1},
        "training": {"learning_rate": "1e-2", "mini_batch_size": 4, "max_epochs": 2},
        "seeds": [1, 2],
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """A cluster of two processors, whose workers are as urgent as other processes, and have time to start."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_worker_register_timeout_seconds", "600")
        try:
            yield stack.enter_context(cluster(cpus=2))
        except ClusterError as error:
            pytest.skip(f"Ray gives its processes 30 seconds to start, and this machine took longer: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # Ray does not wait for all of its processes


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many as a worker of Ray has: others would add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
