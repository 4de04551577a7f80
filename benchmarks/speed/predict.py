"""What prediction costs besides the network, and against Flair's own tagger.

    python -m benchmarks.speed.predict [--data FOLDER] [--settings NAME ...]

text, pictures, base-text, base-pictures: `ESPVRTagger.predict` over posts against the bare encoder on the very batches
that `predict` makes, as ready padded tensors, and against encoder and head on them; for MiniLM-L6 (hidden size 256, one
layer) and for a bert-base (the paper's head: 512, four layers), text only and with captions and a full store of
12 x 12 regions of 1536. flair: MiniLM-L6, text only, against Flair's `SequenceTagger` with a CRF, without a BiLSTM (as
one fine-tunes it) and with its default one. single: the same, one post a call. evaluate: `evaluate` of both. regions,
fine-regions: what it takes to say where entities are, on 12 x 12 and 24 x 24 regions: by the grounding head, with
boxes learned from or without, against the fusion window of every entity, and against no answer. lite-regions,
fine-lite-regions: the same on what EfficientNet-Lite0 gives, 320 numbers a region, or 432 of its last two stages.
systems: each model's `predict`, with its own default sizes, against its own network on ready tensors, over MiniLM-L6
with captions and regions.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from flair.data import Sentence

from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts
from benchmarks.speed.subjects import (
    balance,
    encoder_folder,
    encoder_pass,
    espvr_tagger,
    label_dictionary,
    network_pass,
    predicted_batches,
    prepared,
    sequence_tagger,
)
from benchmarks.speed.table import Works, compare, print_table
from flair_espvr import CaptionedTransformerEmbeddings
from flair_espvr.models.registry import list_models, model_class
from flair_espvr.nn.grounding.head import Learned

BATCH = 32
BASE_SHARE = 4
"""A base-size encoder gets a quarter of the posts."""


def against_network(posts: list[Sentence], folder: Path, *, encoder: str, pictures: bool) -> Works:
    """`predict` and the passes inside it."""
    paper = {"hidden_size": 512, "num_layers": 4} if encoder == "base" else {}
    regions = give_pictures(posts, folder / "pictures") if pictures else None
    tagger = espvr_tagger(encoder_folder(encoder, folder), regions, use_caption=pictures, **paper)
    balance(tagger, posts)
    batches = [prepared(tagger, batch) for batch in predicted_batches(tagger, posts, mini_batch_size=BATCH)]
    return {
        "bare encoder": _inference(partial(encoder_pass, tagger, batches)),
        "encoder and head": _inference(partial(network_pass, tagger, batches)),
        "predict": partial(tagger.predict, posts, mini_batch_size=BATCH),
    }


def against_own_network(name: str, posts: list[Sentence], folder: Path) -> Works:
    """`predict` of a model and its encoder and network on the same batches as ready tensors."""
    torch.manual_seed(0)
    tagger = model_class(name)(
        CaptionedTransformerEmbeddings(encoder_folder("minilm", folder), use_caption=True),
        label_dictionary(),
        "ner",
        region_embeddings=give_pictures(posts, folder / name),
    )
    balance(tagger, posts)
    batches = [prepared(tagger, batch) for batch in predicted_batches(tagger, posts, mini_batch_size=BATCH)]
    return {
        f"{name}: encoder and network": _inference(partial(network_pass, tagger, batches)),
        f"{name}: predict": partial(tagger.predict, posts, mini_batch_size=BATCH),
    }


def by_answer(posts: list[Sentence], folder: Path, *, side: int, dim: int) -> Works:
    """`predict` of one tagger that says where entities are in one way after the other."""
    regions = give_pictures(posts, folder / "pictures", grid=(side, side), dim=dim)
    tagger = espvr_tagger(encoder_folder("minilm", folder), regions, use_caption=True, window=8 * side // 12)
    balance(tagger, posts)
    head, network = tagger.grounding, tagger.network

    def predict(answer: Callable[..., Any], *, learned: Learned = Learned.NOTHING) -> None:
        assert head is not None
        head.learned = learned
        with patch.object(tagger, "_grounding", answer):
            tagger.predict(posts, mini_batch_size=BATCH)

    def window(inputs: dict[str, Any], output: Any, spans: Any) -> None:
        network.position_entities(output, spans, inputs["images"]).top.tolist()

    own = tagger._grounding
    return {
        "the fusion window": partial(predict, window),
        "no answer": partial(predict, lambda *_: None),
        "the head, without boxes": partial(predict, own),
        "the head, with boxes": partial(predict, own, learned=Learned.BOXES),
    }


def against_flair(posts: list[Sentence], *, mini_batch_size: int) -> Works:
    """`predict` and that of Flair's taggers."""
    encoder = encoder_folder("minilm", Path())
    taggers = {
        "Flair, no BiLSTM": sequence_tagger(encoder, use_rnn=False),
        "Flair, BiLSTM": sequence_tagger(encoder, use_rnn=True),
        "ours": espvr_tagger(encoder),
    }
    for tagger in taggers.values():
        balance(tagger, posts)

    def one_by_one(tagger: Any) -> None:
        for post in posts:
            tagger.predict(post)

    if mini_batch_size == 1:
        return {name: partial(one_by_one, tagger) for name, tagger in taggers.items()}
    return {name: partial(tagger.predict, posts, mini_batch_size=mini_batch_size) for name, tagger in taggers.items()}


def evaluation(posts: list[Sentence]) -> Works:
    """`evaluate`: Flair's takes posts as they come, ours sorts some batches' posts at a time."""
    encoder = encoder_folder("minilm", Path())
    taggers = {"Flair, no BiLSTM": sequence_tagger(encoder, use_rnn=False), "ours": espvr_tagger(encoder)}
    for tagger in taggers.values():
        balance(tagger, posts)
    return {
        name: partial(tagger.evaluate, posts, gold_label_type="ner", mini_batch_size=BATCH)
        for name, tagger in taggers.items()
    }


def _inference(work: Callable[[], None]) -> Callable[[], None]:
    return torch.inference_mode()(work)


SETTINGS = (
    "text",
    "pictures",
    "base-text",
    "base-pictures",
    "flair",
    "single",
    "evaluate",
    "regions",
    "fine-regions",
    "lite-regions",
    "fine-lite-regions",
    "systems",
)


def rows(settings: Sequence[str], posts: list[Sentence], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """One comparison after the other."""
    for setting in settings:
        if setting == "systems":
            for name in list_models():
                with tempfile.TemporaryDirectory() as temporary:
                    works = against_own_network(name, posts, Path(temporary))
                    yield from compare(setting, works, rounds=rounds, threads=threads, per=len(posts))
            continue
        some = posts[: len(posts) // BASE_SHARE] if setting.startswith("base") else posts
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            settled: dict[str, Callable[[], Works]] = {
                "text": partial(against_network, some, folder, encoder="minilm", pictures=False),
                "pictures": partial(against_network, some, folder, encoder="minilm", pictures=True),
                "base-text": partial(against_network, some, folder, encoder="base", pictures=False),
                "base-pictures": partial(against_network, some, folder, encoder="base", pictures=True),
                "flair": partial(against_flair, some, mini_batch_size=BATCH),
                "single": partial(against_flair, some, mini_batch_size=1),
                "evaluate": partial(evaluation, some),
                "regions": partial(by_answer, some, folder, side=12, dim=1536),
                "fine-regions": partial(by_answer, some, folder, side=24, dim=1536),
                "lite-regions": partial(by_answer, some, folder, side=12, dim=320),
                "fine-lite-regions": partial(by_answer, some, folder, side=24, dim=432),
            }
            yield from compare(setting, settled[setting](), rounds=rounds, threads=threads, per=len(some))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    chosen = options.parse_args(arguments)
    posts = load_posts(chosen.posts, chosen.data)
    print_table(rows(chosen.settings, posts, chosen.rounds, chosen.threads), unit="ms a post")


if __name__ == "__main__":
    main()
