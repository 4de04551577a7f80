"""What the region store costs: reading it, filling it, and training from it, each as a ratio within one run.

    python -m benchmarks.region_store [--parts reading extraction training] [--pictures FOLDER]

reading: batches of 32 random pictures from a store, against the same arrays from a plain numpy memmap.
extraction: from JPEG files to a store on disk, hashing and decoding in two processes, against timm's bare
`forward_features` on tensors that are ready in memory.
training: an epoch from a full store, against the same epoch with `regions="none"`, and the time of it that passes
inside `ImageRegionEmbeddings.regions`.

The sides of a comparison take turns; shown is the median (least to greatest), and the ratio of the medians. `TMPDIR`
chooses the disk, `OMP_NUM_THREADS` the threads.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

# The processes that extraction starts import this module anew, as they would the command's: heavy imports are main's.

PARTS = ("reading", "extraction", "training")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts asked for and prints the machine and one Markdown table."""
    options = _parser().parse_args(arguments)

    from benchmarks import store_costs
    from benchmarks.measuring import machine

    rows: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "reading" in options.parts:
            rows += store_costs.reading(folder / "reading", pictures=options.stored, rounds=20 * options.rounds)
        if "extraction" in options.parts:
            images = options.pictures or store_costs.draw_pictures(folder / "pictures", options.drawn)
            for backbone in store_costs.backbones(options.dinov2_checkpoint):
                rows += store_costs.extraction(images, backbone, workers=options.workers, rounds=options.rounds)
        if "training" in options.parts:
            rows += store_costs.training(folder / "training", posts=options.posts, rounds=options.rounds)
    print(machine("torch", "timm", "lmdb", "numpy", "flair"), "", sep="\n")
    print("| what | store | against | ratio |", "|---|---|---|---|", *rows, sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--rounds", type=int, default=3, help="timed rounds of each comparison; 20 times as many for reading")
    add("--stored", type=int, default=400, metavar="PICTURES", help="of which batches are read; 45 MB a hundred")
    add("--pictures", type=Path, metavar="FOLDER", help="pictures to extract; drawn ones by default")
    add("--drawn", type=int, default=96, metavar="PICTURES", help="number of pictures drawn for extraction")
    add("--workers", type=int, default=2, help="processes that decode pictures for extraction")
    add("--dinov2-checkpoint", type=Path, metavar="FILE", help="weights of DINOv2-small; random ones by default")
    add("--posts", type=int, default=96, help="in an epoch of training")
    return parser


if __name__ == "__main__":
    main()
