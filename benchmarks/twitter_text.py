"""Without pictures: is ESPVR's text side (with and without captions) at least as good as Flair's own tagger?

    python -m benchmarks.twitter_text RESULTS.jsonl --data FOLDER

Fine-tunes `ESPVRTagger(regions="none")` and Flair's `SequenceTagger` with a CRF over the same encoder for the same
epochs on one corpus in the published split, and prints a Markdown table: test P/R/F1 per type and overall, mean and
standard deviation over the seeds. Each system's learning rate is the one of `--learning-rates` with the best dev F1 of
the first seed; the test split plays no part in it. Finished runs are kept in RESULTS.jsonl, and are not done again.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flair
from flair.data import Corpus, Dictionary, Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.models import SequenceTagger
from flair.nn import Classifier
from flair.trainers import ModelTrainer

from benchmarks.results import append_result, finished_results, mean_and_deviation
from flair_espvr import CaptionedTransformerEmbeddings, ESPVRTagger, MultimodalCorpus
from flair_espvr.embeddings.offline_weights import minilm_folder

Build = Callable[[str, Dictionary, argparse.Namespace], Classifier[Sentence]]


def sequence_tagger(encoder: str, dictionary: Dictionary, options: argparse.Namespace) -> Classifier[Sentence]:
    """Flair's tagger as Flair fine-tunes it: a linear layer and a CRF over the words' first wordpieces."""
    return SequenceTagger(
        hidden_size=options.hidden_size,
        embeddings=TransformerWordEmbeddings(encoder, layers="-1", subtoken_pooling="first", fine_tune=True),
        tag_dictionary=dictionary,
        tag_type="ner",
        use_crf=True,
        use_rnn=False,
        reproject_embeddings=False,
    )


def espvr(encoder: str, dictionary: Dictionary, options: argparse.Namespace, *, use_caption: bool) -> ESPVRTagger:
    """ESPVR's text side."""
    return ESPVRTagger(
        CaptionedTransformerEmbeddings(encoder, use_caption=use_caption),
        dictionary,
        "ner",
        regions="none",
        hidden_size=options.hidden_size,
        num_layers=options.layers,
        dropout=options.dropout,
    )


SYSTEMS: Mapping[str, tuple[str, Build]] = {
    "flair": ("Flair SequenceTagger + CRF, text", sequence_tagger),
    "captions": ("ESPVR, text and captions", lambda *arguments: espvr(*arguments, use_caption=True)),
    "text": ("ESPVR, text (w/o IC)", lambda *arguments: espvr(*arguments, use_caption=False)),
}


def run(corpus: Corpus[Sentence], build: Build, seed: int, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    """Trains once; the epoch with the best dev F1 is tested. Returns dev F1 and the test report, in percent."""
    flair.set_seed(seed)
    model = build(options.encoder, corpus.make_label_dictionary("ner", add_unk=False), options)
    with tempfile.TemporaryDirectory() as folder:
        ModelTrainer(model, corpus).fine_tune(
            folder,
            learning_rate=rate,
            decoder_learning_rate=options.decoder_learning_rate,
            mini_batch_size=options.batch_size,
            max_epochs=options.epochs,
            use_final_model_for_eval=False,
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
        )
    dev = model.evaluate(corpus.dev, gold_label_type="ner").main_score
    report = model.evaluate(corpus.test, gold_label_type="ner").classification_report
    test = {
        name: [100 * row[figure] for figure in ("precision", "recall", "f1-score")]
        for name, row in report.items()
        if isinstance(row, dict)
    }
    return {"dev": 100 * dev, "test": test}


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Test figures as a Markdown table, mean and standard deviation over the seeds."""
    types = sorted(name for name in results[0]["test"] if not name.endswith("avg"))
    header = [*(f"{name} P / R / F1" for name in types), "overall P", "overall R", "overall F1"]
    lines = [f"| system | lr | seeds | {' | '.join(header)} |", f"|---|---|---|{'---|' * len(header)}"]
    for name, (title, _) in SYSTEMS.items():
        rows = [row for row in results if row["system"] == name]
        if not rows:
            continue
        cells = [
            " / ".join(f"{statistics.fmean(row['test'][type_][figure] for row in rows):.1f}" for figure in range(3))
            for type_ in types
        ]
        cells += [
            mean_and_deviation([row["test"]["micro avg"][figure] for row in rows], digits=2) for figure in range(3)
        ]
        lines.append(f"| {title} | {rows[0]['learning_rate']:g} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("results", type=Path, help="JSON lines, one a run")
    add("--data", type=Path, required=True, help="folder with train.txt, valid.txt, test.txt and captions.tsv")
    add("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME", help=", ".join(SYSTEMS))
    add("--seeds", type=int, nargs="+", default=[1, 2, 3])
    add("--learning-rates", type=float, nargs="+", default=[5e-5, 1e-4, 2e-4], help="candidates for the encoder's")
    add("--decoder-learning-rate", type=float, default=1e-3, help="of everything above the encoder")
    add("--epochs", type=int, default=4)
    add("--batch-size", type=int, default=16)
    add("--hidden-size", type=int, default=256)
    add("--layers", type=int, default=1, help="self-attention layers over the words")
    add("--dropout", type=float, default=0.2)
    add("--encoder", default=None, help="a folder or a hub name; MiniLM-L6 of the `offline` extra by default")
    options = parser.parse_args(arguments)
    options.encoder = options.encoder or str(minilm_folder())
    settings = {
        name: getattr(options, name)
        for name in ("epochs", "batch_size", "hidden_size", "layers", "dropout", "decoder_learning_rate")
    }
    corpus = MultimodalCorpus(options.data, captions=options.data / "captions.tsv", label_name_map={"OTHER": "MISC"})

    def result(system: str, seed: int, rate: float) -> dict[str, Any]:
        wanted = {"system": system, "seed": seed, "learning_rate": rate}
        for row in finished_results(options.results, settings):
            if wanted.items() <= row.items():
                return row
        start = time.monotonic()
        row = {**wanted, **run(corpus, SYSTEMS[system][1], seed, rate, options)}
        row["seconds"] = round(time.monotonic() - start)
        append_result(options.results, row, settings)
        return row

    chosen = []
    for system in options.systems:
        first = [result(system, options.seeds[0], rate) for rate in options.learning_rates]
        best = max(first, key=lambda row: row["dev"])["learning_rate"]
        chosen += [result(system, seed, best) for seed in options.seeds]
    print(table(chosen))


if __name__ == "__main__":
    main()
