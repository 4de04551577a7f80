"""How well text in pictures is read, and what a tagger gains by it where nothing else tells the type of a name.

    python -m benchmarks.reading_text read FOLDER [--show]       every picture of a folder
    python -m benchmarks.reading_text drawn [--fonts FOLDER]     drawn words: character error rate by height
    python -m benchmarks.reading_text posts WORK                 drawn posts, with `contexts=("ocr",)` and without

All by RapidOCR (the extra `ocr`); times are seconds of the processor. Fonts are those of a folder, DejaVu of Debian's
`fonts-dejavu-core` by default. `posts` also needs the extra `offline`.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import flair
import numpy as np
from flair.data import Sentence
from PIL import Image, ImageDraw, ImageFont

from benchmarks.measuring import machine
from benchmarks.results import mean_and_deviation
from benchmarks.training import fine_tune
from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, MultimodalCorpus
from flair_espvr.annotators.text_reader import RapidOCRReader
from flair_espvr.annotators.text_writer import read_text
from flair_espvr.data.formats.captions import read_captions
from flair_espvr.data.formats.columns import write_posts
from flair_espvr.data.metadata import OCR
from flair_espvr.data.post import Post
from flair_espvr.images.folder import find_images
from flair_espvr.images.loading import load_image
from flair_espvr.io.atomic import atomic_write
from flair_espvr.io.packaged import MINILM_L6
from synthetic.chance import pick
from synthetic.names import made_up_names
from synthetic.sentences import UNTYPED, fill

SIGNS = {
    "PER": ("singer", "actor", "teacher", "driver", "doctor", "farmer"),
    "LOC": ("river", "village", "island", "mountain", "harbour", "street"),
    "ORG": ("company", "agency", "bank", "factory", "museum", "union"),
    "MISC": ("novel", "festival", "song", "movie", "watch", "game"),
}
"""What stands in a picture, by the type of the name in its post."""

SIZE = (220, 220)
FONTS = Path("/usr/share/fonts/truetype/dejavu")
HEIGHTS = (6, 8, 12, 20, 32)
POSTS_OF_A_PICTURE = 3
"""Posts, each with a name of its own, that share a picture: reading costs more than training."""

WORDS = tuple(word for words in SIGNS.values() for word in words)


def drawn(rng: np.random.Generator, text: str, font: Path, height: int) -> Image.Image:
    """Return a picture with a text in it, dark on light or light on dark, on noisy ground, slightly turned."""
    dark, light = rng.integers(0, 80, 3), rng.integers(170, 256, 3)
    ground, ink = (light, dark) if rng.integers(2) else (dark, light)
    noise = rng.normal(ground, 12, (SIZE[1], SIZE[0], 3)).clip(0, 255).astype(np.uint8)
    letters = Image.new("L", SIZE)
    face = ImageFont.truetype(str(font), height)
    pen = ImageDraw.Draw(letters)
    width = int(pen.textlength(text, font=face))
    left = int(rng.integers(4, max(5, SIZE[0] - width - 4)))
    pen.text((left, int(rng.integers(20, SIZE[1] - 40 - height))), text, fill=255, font=face)
    turned = letters.rotate(float(rng.uniform(-4, 4)), Image.Resampling.BICUBIC)
    picture = Image.fromarray(noise)
    picture.paste(Image.new("RGB", SIZE, tuple(int(level) for level in ink)), mask=turned)
    return picture


def character_errors(found: str, wanted: str) -> int:
    """Count insertions, deletions and replacements between two texts (Levenshtein)."""
    row = list(range(len(wanted) + 1))
    for place, character in enumerate(found, start=1):
        last, row = row, [place, *row[1:]]
        for column, other in enumerate(wanted, start=1):
            row[column] = min(last[column] + 1, row[column - 1] + 1, last[column - 1] + (character != other))
    return row[-1]


def measure_folder(options: argparse.Namespace) -> None:
    """Read every picture of a folder."""
    reader, seconds, read = RapidOCRReader(), [], 0
    for path in find_images(options.folder):
        picture = load_image(path)
        start = time.process_time()
        (text,) = reader.read([picture])
        seconds.append(time.process_time() - start)
        read += bool(text)
        shown = text if options.show else f"{len(text)} characters"
        print(f"| {path.name} | {picture.width} x {picture.height} | {seconds[-1]:.2f} | {shown} |")
    print(f"{read} of {len(seconds)} have text; {statistics.median(seconds):.2f} s a picture (median)")


def measure_drawn(options: argparse.Namespace) -> None:
    """Read drawn words, and count the characters that are wrong."""
    reader, rng = RapidOCRReader(), np.random.default_rng(options.seed)
    fonts = sorted(options.fonts.rglob("*.ttf"))
    print(f"{len(fonts)} fonts of {options.fonts}")
    print("| height | pictures | characters | character error rate | read without error | s a picture (median) |")
    print("|---|---:|---:|---:|---:|---:|")
    for height in HEIGHTS:
        wrong, total, right, seconds = 0, 0, 0, []
        for _ in range(options.pictures):
            text = pick(rng, WORDS).upper()
            picture = drawn(rng, text, pick(rng, fonts), height)
            start = time.process_time()
            (found,) = reader.read([picture])
            seconds.append(time.process_time() - start)
            errors = character_errors(found, text)
            wrong, total, right = wrong + errors, total + len(text), right + (errors == 0)
        rate, median = f"{100 * wrong / total:.1f} %", f"{statistics.median(seconds):.2f}"
        print(f"| {height} px | {options.pictures} | {total} | {rate} | {right} | {median} |", flush=True)


def write_posts_with_signs(options: argparse.Namespace) -> Path:
    """Return a corpus of posts whose names could be of any type, and pictures in which a word tells which."""
    folder = options.work / "posts"
    rng = np.random.default_rng(options.seed)
    counts = {"train": options.train, "valid": options.valid, "test": options.test}
    (folder / "images").mkdir(parents=True, exist_ok=True)
    names = iter(made_up_names(rng, POSTS_OF_A_PICTURE * sum(counts.values())))
    fonts = sorted(options.fonts.rglob("*.ttf"))
    for split, count in counts.items():
        posts = []
        for number in range(count):
            kind, image_id = pick(rng, tuple(SIGNS)), f"{split}_{number}"
            picture = drawn(rng, pick(rng, SIGNS[kind]).upper(), pick(rng, fonts), 32)
            picture.save(folder / "images" / f"{image_id}.png")
            for _ in range(POSTS_OF_A_PICTURE):
                posts.append(Post(image_id, *fill(pick(rng, UNTYPED), {"name": (next(names), kind)})))
        with atomic_write(folder / f"{split}.txt") as file:
            write_posts(posts, file)
    return folder


def measure_posts(options: argparse.Namespace) -> None:
    """Train taggers that read the text in pictures and taggers that do not, and score them."""
    folder = write_posts_with_signs(options)
    pictures = {path.stem: path for path in find_images(folder / "images")}
    reader = RapidOCRReader()
    read_text(reader, pictures, folder / "ocr.tsv", settings=reader.settings)
    print(f"text was found in {len(read_captions(folder / 'ocr.tsv', key=OCR))} of {len(pictures)} pictures")
    for name, contexts in {"the words alone": (), "the words and the text in the picture": (OCR,)}.items():
        scores = []
        for seed in options.seeds:
            flair.set_seed(seed)
            corpus = MultimodalCorpus(folder, images=False)
            tagger = ESPVRTagger(
                CaptionedTransformerEmbeddings(MINILM_L6, contexts=contexts, fine_tune=not options.frozen),
                corpus.make_label_dictionary("ner", add_unk=False),
                "ner",
                regions="none",
                hidden_size=256,
                num_layers=1,
                dropout=0.2,
            )
            fine_tune(tagger, corpus, options, keep_embeddings=options.frozen)
            test: list[Sentence] = list(corpus.test)
            scores.append(100 * tagger.evaluate(test, "ner").main_score)
        each = ", ".join(f"{score:.1f}" for score in scores)
        print(f"| {name} | {mean_and_deviation(scores)} | {each} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure."""
    options = _parser().parse_args(arguments)
    print(machine("torch", "rapidocr", "onnxruntime"))
    options.measure(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    read = commands.add_parser("read")
    read.add_argument("folder", type=Path)
    read.add_argument("--show", action="store_true", help="print what was read")
    read.set_defaults(measure=measure_folder)
    words = commands.add_parser("drawn")
    words.add_argument("--pictures", type=int, default=12, metavar="N", help="of each height")
    words.set_defaults(measure=measure_drawn)
    posts = commands.add_parser("posts")
    posts.add_argument("work", type=Path, help="folder for the posts and the models")
    for split, count in {"train": 64, "valid": 8, "test": 40}.items():
        posts.add_argument(f"--{split}", type=int, default=count, metavar="N", help="number of pictures")
    posts.add_argument("--epochs", type=int, default=6)
    posts.add_argument("--frozen", action="store_true", help="leave the text encoder as it is")
    posts.add_argument("--batch-size", type=int, default=16)
    posts.add_argument("--learning-rate", type=float, default=2e-4, help="of the text encoder")
    posts.add_argument("--decoder-learning-rate", type=float, default=1e-3, help="of everything else")
    posts.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the trainings")
    posts.set_defaults(measure=measure_posts)
    for parts in (words, posts):
        parts.add_argument("--fonts", type=Path, default=FONTS, metavar="FOLDER")
        parts.add_argument("--seed", type=int, default=1, help="of what is drawn")
    return parser


if __name__ == "__main__":
    main()
