"""What a training step costs besides the encoder, and what the optimizer and mixed precision do to it.

    python -m benchmarks.speed.training [--data FOLDER] [--settings NAME ...]

text, pictures: a step of `ESPVRTagger` (forward, loss, backward, AdamW) against the bare encoder's forward and backward
on the same batches as ready tensors, and against encoder, head and losses on them; MiniLM-L6, hidden size 256, one
layer, batch 16, text only and with captions and a full store of 12 x 12 regions of 1536. optimizer: torch's AdamW as it
is by default and fused. precision, base-precision: float32 against `matmul_precision: medium` of a recipe, over
MiniLM-L6 and a bert-base of random weights. characters: Flair's BiLSTM over a word's characters against ours, forward
and backward. regions: `ImageRegionEmbeddings.regions` alone, against the step: the most that reading pictures ahead
could save.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import CharacterEmbeddings, TokenEmbeddings

from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts
from benchmarks.speed.subjects import ReadyBatch, encoder_folder, espvr_tagger, prepared
from benchmarks.speed.table import Works, compare, print_table
from flair_espvr import ESPVRTagger
from flair_espvr.embeddings import CharacterLSTMEmbeddings
from flair_espvr.training.runs.run import matmul_precision

BATCH = 16

SETTINGS = ("text", "pictures", "optimizer", "precision", "base-precision", "characters")


def steps(posts: list[Sentence], folder: Path, *, pictures: bool) -> Works:
    """Whole steps and what is inside them."""
    regions = give_pictures(posts, folder / "pictures") if pictures else None
    tagger = espvr_tagger(encoder_folder("minilm", folder), regions, use_caption=pictures)
    batches = in_batches(posts)
    ready = [prepared(tagger, batch) for batch in batches]
    tags = [tagger._gold_tags(batch) for batch in batches]
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5)
    works: dict[str, Callable[[], Any]] = {
        "bare encoder, forward and backward": partial(encoder_steps, tagger, ready),
        "encoder, head and losses, forward and backward": partial(network_steps, tagger, ready, tags),
        "training": partial(training_steps, tagger, batches, optimizer),
    }
    if regions is not None:
        works["of it reading regions"] = lambda: [regions.regions(batch) for batch in batches]
    return works


def optimizers(posts: list[Sentence], folder: Path) -> Works:
    """Time a step of torch's AdamW in its two forms."""
    encoder, batches = encoder_folder("minilm", folder), in_batches(posts)
    taggers = {"AdamW": espvr_tagger(encoder), "fused AdamW": espvr_tagger(encoder)}
    return {
        name: partial(
            training_steps, tagger, batches, torch.optim.AdamW(tagger.parameters(), lr=1e-5, fused=name != "AdamW")
        )
        for name, tagger in taggers.items()
    }


def precisions(posts: list[Sentence], folder: Path, encoder: str) -> Works:
    """Time steps whose matrix products have exact factors and rounded ones."""
    tagger, batches = espvr_tagger(encoder_folder(encoder, folder)), in_batches(posts)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-5, fused=True)
    return {
        name: partial(rounded_steps, precision, tagger, batches, optimizer)
        for name, precision in (("float32", "highest"), ("matmul_precision: medium", "medium"))
    }


def characters(posts: list[Sentence]) -> Works:
    """Time word vectors from characters, and what they learn."""
    alphabet = Dictionary()
    for letter in sorted({letter for post in posts for letter in post.text}):
        alphabet.add_item(letter)
    batches = in_batches(posts)
    return {
        "Flair's CharacterEmbeddings": partial(embedding_steps, CharacterEmbeddings(alphabet), batches),
        "CharacterLSTMEmbeddings": partial(embedding_steps, CharacterLSTMEmbeddings(alphabet), batches),
    }


def in_batches(posts: list[Sentence]) -> list[list[Sentence]]:
    """Batches as they come: training shuffles, and does not sort."""
    return [posts[start : start + BATCH] for start in range(0, len(posts), BATCH)]


def encoder_steps(tagger: ESPVRTagger, batches: Sequence[ReadyBatch]) -> None:
    """Run the bare encoder's forward and backward pass over each batch."""
    tagger.train()
    for batch in batches:
        inputs = {name: tensor for name, tensor in batch.encoder.items() if name not in ("word_ids", "token_lengths")}
        tagger.embeddings.model(**inputs).last_hidden_state.sum().backward()
        tagger.zero_grad()


def network_steps(tagger: ESPVRTagger, batches: Sequence[ReadyBatch], tags: Sequence[torch.Tensor]) -> None:
    """Run encoder, head and losses, forward and backward."""
    tagger.train()
    for batch, gold in zip(batches, tags, strict=True):
        words = tagger.embeddings(**batch.encoder)["token_embeddings"]
        output = tagger.network(words, batch.mask, batch.images)
        tagger.network.total_loss(tagger.network.losses(output, gold), len(gold)).backward()
        tagger.zero_grad()


def training_steps(tagger: ESPVRTagger, batches: list[list[Sentence]], optimizer: torch.optim.Optimizer) -> None:
    """Do what Flair's trainer does for each batch."""
    tagger.train()
    for batch in batches:
        loss, words = tagger.forward_loss(batch)
        (loss / words).backward()
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()


def embedding_steps(embeddings: TokenEmbeddings, batches: list[list[Sentence]]) -> None:
    """Embed each batch and learn from the sum of its words' vectors."""
    embeddings.train()
    for batch in batches:
        embeddings.embed(batch)
        torch.stack([token.get_embedding(embeddings.get_names()) for post in batch for token in post]).sum().backward()
        embeddings.zero_grad()
        for post in batch:
            post.clear_embeddings()


def rounded_steps(
    precision: str, tagger: ESPVRTagger, batches: list[list[Sentence]], optimizer: torch.optim.Optimizer
) -> None:
    """Do `training_steps` with a precision of matrix products."""
    with matmul_precision(precision):
        training_steps(tagger, batches, optimizer)


def rows(settings: Sequence[str], posts: list[Sentence], rounds: int, threads: Sequence[int]) -> Iterator[str]:
    """One comparison after the other."""
    for setting in settings:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if setting == "optimizer":
                works = optimizers(posts, folder)
            elif setting == "characters":
                works = characters(posts)
            elif setting.endswith("precision"):
                works = precisions(posts, folder, "base" if setting.startswith("base") else "minilm")
            else:
                works = steps(posts, folder, pictures=setting == "pictures")
            yield from compare(setting, works, rounds=rounds, threads=threads, per=len(in_batches(posts)))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=96)
    options.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    chosen = options.parse_args(arguments)
    posts = load_posts(chosen.posts, chosen.data)
    print_table(rows(chosen.settings, posts, chosen.rounds, chosen.threads), unit=f"ms a step of {BATCH} posts")


if __name__ == "__main__":
    main()
