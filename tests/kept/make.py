"""Makes the files of this folder: models, a run and a store as version 0.1.0 wrote them, and what it predicted.

Run once, with that version, and kept since: `python make.py kept` in an empty folder. Nothing runs it again; it says
what the files hold. Words and pictures are invented here.
"""

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Corpus, Sentence
from flair_espvr.embeddings.region_store import RegionStore
from PIL import Image
from transformers import BertConfig, BertModel, BertTokenizerFast

from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, ImageRegionEmbeddings
from flair_espvr.training.trainer.resume import ResumableTrainer

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SWIN: dict[str, Any] = {"window_size": 2, "embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}


class Killed(Exception):  # noqa: N818 - no error
    """Ends a training as a kill would."""


def encoder(folder: Path) -> Path:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=40).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def posts(images: Path) -> list[Sentence]:
    made = []
    for words, entities, image, caption in (
        ("kevin plays in oakland", [(0, 1, "PER"), (3, 4, "LOC")], "0", "a man"),
        ("mary jane sings", [(0, 2, "PER")], "1", None),
        ("we are in new york", [(3, 5, "LOC")], None, "a street"),
        ("no names here", [], "2", None),
        ("oakland", [(0, 1, "LOC")], "3", "a town"),
        ("mary is in oakland now", [(0, 1, "PER"), (3, 4, "LOC")], "1", "a woman"),
    ):
        sentence = Sentence(words.split())
        for start, end, type_ in entities:
            sentence[start:end].add_label("ner", type_)
        if image is not None:
            sentence.add_metadata("image", str(images / f"{image}.png"))
        if caption is not None:
            sentence.add_metadata("caption", caption)
        made.append(sentence)
    return made


def predictions(tagger: ESPVRTagger, sentences: list[Sentence]) -> list[Any]:
    tagger.eval()
    tagger.predict(sentences, label_name="predicted")
    return [
        [
            [label.unlabeled_identifier, label.value, label.score, list(vars(label.metadata["region"]).values())]
            if "region" in label.metadata
            else [label.unlabeled_identifier, label.value, label.score, None]
            for label in sentence.get_labels("predicted")
        ]
        for sentence in sentences
    ]


def main(out: Path) -> None:
    flair.set_seed(4)
    images = out / "images"
    images.mkdir(parents=True)
    for index, (ground, square) in enumerate((("red", "blue"), ("white", "green"), ("black", "cyan"), ("grey", "red"))):
        picture = Image.new("RGB", (60, 40), ground)
        picture.paste(Image.new("RGB", (20, 20), square), (10 * index, 5))
        picture.save(images / f"{index}.png")
    data = posts(images)
    corpus: Corpus[Sentence] = Corpus(train=data * 4, dev=data, test=data, name="six posts")
    dictionary = corpus.make_label_dictionary("ner", add_unk=False)
    with tempfile.TemporaryDirectory() as scratch:
        bert = encoder(Path("encoder"))
        sizes: dict[str, Any] = {"hidden_size": 16, "num_heads": 2, "num_layers": 1, "dropout": 0.1, "window": 1}
        training: dict[str, Any] = {"learning_rate": 5e-3, "mini_batch_size": 8, "use_final_model_for_eval": False}

        def train(folder: Path, *, with_pictures: bool, epochs: int, plugins: Any = ()) -> ESPVRTagger:
            regions = ImageRegionEmbeddings(
                "swin_tiny_patch4_window7_224",
                image_size=64,
                pretrained=False,
                model_arguments=SWIN,
            )
            tagger = ESPVRTagger(
                CaptionedTransformerEmbeddings(str(bert)),
                dictionary,
                "ner",
                region_embeddings=regions if with_pictures else None,
                **sizes,
            )
            trainer = ResumableTrainer(tagger, corpus)
            with suppress(Killed):
                trainer.fine_tune(folder, max_epochs=epochs, plugins=list(plugins), **training)
            return tagger

        from flair.trainers.plugins import TrainerPlugin

        class Kill(TrainerPlugin):
            @TrainerPlugin.hook
            def before_training_epoch(self, epoch: int, **_: Any) -> None:
                if epoch == 3:
                    raise Killed

        pictured = train(Path(scratch, "a"), with_pictures=True, epochs=12)
        pictured.calibrate(data)
        pictured.save(out / "model.pt", include_backbone=True)
        assert pictured.region_embeddings is not None
        pictured.region_embeddings.use_store(out / "store")  # only now: a model file names its store by its full path
        pictured.predict(posts(images))
        text = train(Path(scratch, "b"), with_pictures=False, epochs=12)
        text.save_pretrained(out / "export")
        train(out / "unfinished", with_pictures=False, epochs=4, plugins=[Kill()])
        for leftover in ("dev.tsv", "training.log"):
            (out / "unfinished" / leftover).unlink()
        store = RegionStore(out / "store")
        expected = {
            "model": predictions(ESPVRTagger.load(out / "model.pt"), posts(images)),
            "export": predictions(ESPVRTagger.from_pretrained(out / "export"), posts(images)),
            "unfinished": predictions(ESPVRTagger.load(out / "unfinished" / "best-model.pt"), posts(images)),
            "store": sorted(key.hex() for key in store.keys()),  # noqa: SIM118
        }
    (out / "predictions.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
