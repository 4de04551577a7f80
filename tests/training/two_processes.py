"""One of two processes that train every model on half of each batch; the first also trains each on whole batches.

    python two_processes.py RANK MEETING_FILE WORK_FOLDER ENCODER CHECKPOINT PICTURE...

Prints, by model, the greatest difference between the weights, or why it refuses.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import flair
import torch
from flair.data import Corpus, Sentence
from flair.trainers import ModelTrainer, trainer
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from flair_espvr import CaptionedTransformerEmbeddings, ImageRegionEmbeddings, list_models
from flair_espvr.errors import ConfigurationError
from flair_espvr.models.registry import model_class

TINY = {"window": 1, "hidden_size": 16, "num_heads": 2, "num_layers": 1}
SWIN = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
BATCH = 4


def corpus_of(pictures: list[Path]) -> Corpus[Sentence]:
    """Twelve posts; of the second batch only the first process sees pictures, of the third nobody does."""
    words = [
        "kevin plays in oakland",
        "mary jane sings",
        "we are in new york",
        "hi kevin",
        "oakland",
        "good morning",
    ]
    posts = []
    for place in range(12):
        post = Sentence(words[place % 6].split())
        for token in post:
            if token.text in ("kevin", "mary", "oakland"):
                post[token.idx - 1 : token.idx].add_label("ner", "LOC" if token.text == "oakland" else "PER")
        if place < 4 or place in (4, 6):
            post.add_metadata("image", pictures[place % len(pictures)])
        if place % 3 == 0:
            post.add_metadata("caption", "a man in town")
        posts.append(post)
    return Corpus(train=posts, dev=posts[:4], test=posts[:2], name="posts")


def tagger_of(name: str, encoder: str, regions: ImageRegionEmbeddings, corpus: Corpus[Sentence]) -> Any:
    """A tagger of a model, tiny, without dropout: the halves of a batch would drop other things than the whole."""
    kind = model_class(name)
    hyperparameters = {key: value for key, value in TINY.items() if key in kind.config_class.model_fields}
    torch.manual_seed(3)
    embeddings = CaptionedTransformerEmbeddings(encoder)
    dictionary = corpus.make_label_dictionary("ner")
    tagger = kind(embeddings, dictionary, "ner", region_embeddings=regions, **hyperparameters)
    for part in tagger.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        for attribute in ("dropout", "probability"):
            if isinstance(getattr(part, attribute, None), float):
                setattr(part, attribute, 0.0)
    return tagger


def trained(tagger: Any, pictures: list[Path], folder: Path, **options: Any) -> dict[str, Tensor]:
    """The weights after two epochs of Flair's training, on posts that no evaluation has left labels on."""
    flair.set_seed(4)  # by which several processes draw the same posts, to see that they have the same corpus
    ModelTrainer(tagger, corpus_of(pictures)).train(
        folder,
        learning_rate=0.05,
        max_epochs=2,
        shuffle=False,
        embeddings_storage_mode="none",
        use_final_model_for_eval=True,
        save_final_model=False,
        create_file_logs=False,
        **options,
    )
    return {name: weight.detach().clone() for name, weight in tagger.named_parameters()}


def main() -> None:
    """Train all models, one after the other."""
    rank, meeting, folder, encoder, checkpoint, *names = sys.argv[1:]
    pictures = [Path(name) for name in names]
    torch.set_num_threads(1)
    flair.device = torch.device("cpu")
    regions = ImageRegionEmbeddings(
        "swin_tiny_patch4_window7_224", checkpoint=checkpoint, image_size=64, pretrained=False, model_arguments=SWIN
    )
    build = partial(tagger_of, encoder=encoder, regions=regions, corpus=corpus_of(pictures))
    own = Path(folder, rank)
    whole = {}
    if rank == "0":
        whole = {name: trained(build(name), pictures, own / "whole", mini_batch_size=BATCH) for name in list_models()}

    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2)
    # Flair's trainer hands on the index of a GPU, and there is none.
    trainer.DistributedDataParallel = lambda model, device_ids, **options: DistributedDataParallel(model, **options)
    results: dict[str, Any] = {}
    for name in list_models():
        try:
            shared = trained(build(name), pictures, own / "shared", mini_batch_size=BATCH // 2, multi_gpu=True)
        except ConfigurationError as error:
            results[name] = str(error)
            continue
        if rank == "0":
            begun = dict(build(name).named_parameters())
            results[name] = {
                "difference": max(float((shared[key] - weight).abs().max()) for key, weight in whole[name].items()),
                "learned": max(float((begun[key] - weight).abs().max()) for key, weight in whole[name].items()),
            }
    written = own.joinpath("shared").iterdir()  # Flair's plugin makes its table, empty, in every process
    results["files"] = sorted(path.name for path in written if path.stat().st_size)
    torch.distributed.destroy_process_group()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
