"""How much memory `flair-espvr predict` needs for few posts and for many: its peak, and how long it took.

    python -m benchmarks.streaming [--posts 500 5000 20000]

The tagger is tiny and untrained, so that what would pile up, post by post, is not lost beside its weights.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the machine and one Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--posts", type=int, nargs="+", default=[500, 5000, 20000])
    options = parser.parse_args(arguments)

    from benchmarks.measuring import machine

    print(machine("torch", "flair"), "", "| posts | peak memory, MB | seconds |", "|---:|---:|---:|", sep="\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = save_tagger(folder)
        for count in options.posts:
            megabytes, seconds = predict(model, write_posts(folder / "posts.jsonl", count), folder / "tagged.jsonl")
            print(f"| {count:,} | {megabytes:.0f} | {seconds:.0f} |", flush=True)


def save_tagger(folder: Path) -> Path:
    """Return a tagger over a BERT of two layers, 16 wide, that reads letter by letter."""
    from flair.data import Dictionary
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=128, **sizes)).save_pretrained(folder)
    types = Dictionary(add_unk=False)
    for name in ("PER", "LOC"):
        types.add_item(name)
    embeddings = CaptionedTransformerEmbeddings(str(folder))
    ESPVRTagger(embeddings, types, "ner", hidden_size=16, num_heads=2, num_layers=1).save(folder / "model.pt")
    return folder / "model.pt"


def write_posts(path: Path, count: int) -> Path:
    """Return posts of up to twenty made-up words, every one of another text; always the same."""
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            words = ["".join(chance.choices(_LETTERS, k=chance.randint(2, 8))) for _ in range(chance.randint(1, 20))]
            file.write(json.dumps({"id": number, "text": " ".join(words), "caption": " ".join(words[:5])}) + "\n")
    return path


def predict(model: Path, posts: Path, out: Path) -> tuple[float, float]:
    """Peak resident memory of the command's process in MB, and its seconds."""
    start = time.perf_counter()
    command = ["predict", str(model), str(posts), "--out", str(out), "--device", "cpu", "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "flair_espvr.commands.main", *command])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3), time.perf_counter() - start


if __name__ == "__main__":
    main()
