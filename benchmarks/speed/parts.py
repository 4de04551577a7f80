"""Where the time of a prediction goes, part by part.

    python -m benchmarks.speed.parts [--data FOLDER] [--encoder minilm|base] [--pictures]

Every part is timed in place, by the processor's clock, while `predict` runs. `predict` itself is the row "all"; what no
part claims is "the rest". Inner parts are marked by their indentation and belong to the part above.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring import Spread, machine
from benchmarks.speed.options import parser
from benchmarks.speed.posts import give_pictures, load_posts
from benchmarks.speed.subjects import balance, encoder_folder, espvr_tagger
from flair_espvr import ESPVRTagger
from flair_espvr.models import tagger as multimodal_tagger

Owner = Any


def parts(tagger: ESPVRTagger) -> Mapping[str, tuple[Owner, str]]:
    """Return what is timed: whose attribute it is, and its name."""
    network, embeddings = tagger.network, tagger.embeddings
    found = {
        "counting wordpieces": (tagger, "_batches"),
        "tokenizing": (embeddings, "prepare_tensors"),
        "encoder": (embeddings.model, "forward"),
        "regions from the store": (tagger, "images"),
        "head": (network, "forward"),
        "- self-attention": (network.text_encoder, "forward"),
        "tag Viterbi": (network, "decode"),
        "span posteriors": (network.tag_crf, "span_probabilities"),
        "regions of entities": (tagger, "_grounding"),
        "entities from tensors": (multimodal_tagger, "predicted_entities"),
        "labels": (multimodal_tagger, "add_labels"),
    }
    if network.config.reads_images:
        found["- region projection"] = (network.region_projection, "forward")
        found["- span Viterbi"] = (network, "predict_spans")
        found["- positioning"] = (network, "_position")
        found["- fusion"] = (network.fusion, "forward")
    return found


def timed(work: Callable[[], Any], places: Mapping[str, tuple[Owner, str]]) -> dict[str, float]:
    """Processor seconds of each part while `work` runs, and of it all."""
    seconds: dict[str, float] = defaultdict(float)

    def timer(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            result = function(*arguments, **options)
            seconds[name] += time.process_time() - start
            return result

        return run

    originals = {name: getattr(owner, attribute) for name, (owner, attribute) in places.items()}
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, timer(name, originals[name]))
    try:
        timer("all", work)()
    finally:
        for name, (owner, attribute) in places.items():
            setattr(owner, attribute, originals[name])
    outer = sum(spent for name, spent in seconds.items() if name != "all" and not name.startswith("-"))
    return {**seconds, "the rest": seconds["all"] - outer}


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, posts=160, rounds=5)
    options.add_argument("--encoder", choices=("minilm", "base"), default="minilm")
    options.add_argument("--pictures", action="store_true", help="with captions and a full store of 12 x 12 regions")
    options.add_argument("--call", type=int, default=10_000, metavar="POSTS", help="given to `predict` at once")
    chosen = options.parse_args(arguments)
    torch.set_num_threads(chosen.threads[0])
    posts = load_posts(chosen.posts, chosen.data)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        regions = give_pictures(posts, folder / "pictures") if chosen.pictures else None
        paper = {"hidden_size": 512, "num_layers": 4} if chosen.encoder == "base" else {}
        tagger = espvr_tagger(encoder_folder(chosen.encoder, folder), regions, use_caption=chosen.pictures, **paper)
        balance(tagger, posts)
        places = parts(tagger)

        def work() -> None:
            for start in range(0, len(posts), chosen.call):
                tagger.predict(posts[start : start + chosen.call])

        rounds = [timed(work, places) for _ in range(chosen.rounds + 1)][1:]
    print(machine("torch", "transformers", "flair"), "", "| part | CPU, ms a post | share |", "|---|---|---|", sep="\n")
    whole = Spread.of([seconds["all"] for seconds in rounds]).median
    for name in sorted(rounds[0], key=lambda name: -rounds[0][name]):
        spread = Spread.of([1000 * seconds[name] / len(posts) for seconds in rounds])
        share = Spread.of([seconds[name] for seconds in rounds]).median / whole
        print(f"| {name} | {spread} | {share:.1%} |")


if __name__ == "__main__":
    main()
