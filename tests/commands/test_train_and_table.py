"""Recipes through the program: trained, evaluated, put into tables, searched; stopped and gone on with."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from flair.nn import Classifier
from seqeval.metrics import f1_score

from flair_espvr import ESPVRTagger
from flair_espvr.commands.main import main
from flair_espvr.data.bio import EntitySpan, bio_tags
from flair_espvr.data.formats.columns import read_posts
from flair_espvr.evaluation.evaluate import Evaluation
from flair_espvr.evaluation.predictions_file import read_predictions
from flair_espvr.evaluation.scores import Scores
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.recipes.sections import CaptionedTransformer
from flair_espvr.training.runs import run as run_module
from flair_espvr.training.runs.run_folder import RunFolder


def table_file(folder: Path, recipe: Path) -> Path:
    """Two rows on one corpus and a cross-domain cell, two seeds."""
    text_only = folder / "text.yaml"
    text_only.write_text("extends: tiny.yaml\nembeddings: {use_caption: false}\n", encoding="utf-8")
    content = {
        "title": "Tiny",
        "types": ["PER", "LOC"],
        "groups": ["here", "there"],
        "compare": [["captions", "text"]],
        "rows": [
            {"title": "captions", "cells": {"here": {"recipe": recipe.name, "paper": {"F1": 50, "PER": 40}}}},
            {
                "title": "text",
                "cells": {
                    "here": {"recipe": text_only.name},
                    "there": {"recipe": text_only.name, "corpus": recipe.name},
                },
            },
        ],
    }
    path = folder / "table.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_run_keeps_everything_and_evaluates_as_seqeval_does(
    recipe_path: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(recipe_path), "--out", str(tmp_path / "runs"), "--seed", "2"]) == 0
    console = [line.strip() for line in capsys.readouterr().err.replace("\r", "\n").split("\n") if line.strip()]
    assert console[0] == (
        "posts: 12 training, 4 development, 4 test posts; 0 pictures, 20 captions; types PER (20), LOC (10)"
    )
    assert [
        line for line in console[1:] if not line.startswith("tiny, seed 2")
    ] == []  # no bar of Flair's, without name
    epochs = [line for line in console if re.search(r", epoch \d of 2: loss \d+\.\d{4}, dev F1 \d+\.\d$", line)]
    assert len(epochs) == 2
    recipe = load_recipe(recipe_path)
    folder = RunFolder.of(tmp_path / "runs", "tiny", recipe, 2)
    assert load_recipe(folder.recipe) == recipe
    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    assert environment["seed"] == 2
    assert {Path(path).name for path in environment["sha256"]} == {
        "train.txt",
        "valid.txt",
        "test.txt",
        "captions.tsv",
    }
    assert "EPOCH 2 done" in folder.log.read_text(encoding="utf-8")
    assert "Loss terms of epoch 2: tags " in folder.log.read_text(encoding="utf-8")
    assert not (folder.path / "best-model.pt").exists()
    assert ESPVRTagger.load(folder.model).hyperparameters()["score_temperature"] != 1

    gold, predicted = read_predictions(folder.predictions())
    posts = list(read_posts(corpus_folder / "test.txt"))
    predicted_tags = [bio_tags(len(post.tokens), found) for post, found in zip(posts, predicted, strict=True)]
    outside = f1_score([list(post.tags) for post in posts], predicted_tags)
    assert folder.read_scores()["lenient"].micro.f1 == pytest.approx(outside)
    assert [list(map(EntitySpan._make, found)) for found in gold]

    capsys.readouterr()
    assert main(["evaluate", str(folder.model), str(recipe_path)]) == 0
    printed = capsys.readouterr().out
    assert folder.read_scores()["lenient"].to_markdown() in printed
    assert folder.read_scores()["strict"].to_markdown() in printed


def test_a_recipe_of_jsonl_is_trained_and_its_test_file_alone_evaluated(
    recipe_path: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for old, new in {"train": "train", "valid": "dev"}.items():
        assert main(["convert", str(corpus_folder / f"{old}.txt"), str(corpus_folder / f"{new}.jsonl")]) == 0
        (corpus_folder / f"{old}.txt").unlink()
    changes = ["corpus={type: posts, folder: %s, test_file: null}" % corpus_folder, "seeds=[1]"]  # noqa: UP031 - braces
    arguments = [part for change in changes for part in ("--set", change)]
    assert main(["train", str(recipe_path), "--out", str(tmp_path / "runs"), *arguments]) == 0
    recipe = load_recipe(recipe_path, changes)
    folder = RunFolder.of(tmp_path / "runs", "tiny", recipe, 1)
    tested = folder.read_scores()["lenient"].to_markdown()
    assert tested.startswith("1 sentences")  # sampled, for every run alike

    capsys.readouterr()
    (tmp_path / "sampled.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert main(["evaluate", str(folder.model), str(tmp_path / "sampled.yaml")]) == 0
    assert tested in capsys.readouterr().out

    for name in ("train.jsonl", "dev.jsonl"):
        (corpus_folder / name).unlink()
    assert main(["evaluate", str(folder.model), str(corpus_folder)]) == 0  # test.txt is all that is left
    (corpus_folder / "test.txt").rename(corpus_folder / "heldout.txt")
    capsys.readouterr()
    assert main(["evaluate", str(folder.model), str(corpus_folder)]) == 1
    error = capsys.readouterr().err
    assert "no test file test.txt or test.jsonl; the folder has captions.tsv, heldout.txt. " in error
    assert "--set corpus.test_file=NAME" in error
    assert main(["evaluate", str(folder.model), str(corpus_folder), "--set", "corpus.test_file=heldout.txt"]) == 0
    assert main(["train", str(recipe_path)]) == 1
    assert "corpus.train_file" in capsys.readouterr().err


def test_flairs_own_models_are_evaluated_only_where_trusted(
    recipe_path: Path, tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        "embeddings={type: transformer, model: %s}" % tiny_bert,  # noqa: UP031 - braces
        "model={type: sequence_tagger, use_rnn: false}",
        "seeds=[1]",
    ]
    arguments = [part for change in changes for part in ("--set", change)]
    assert main(["train", str(recipe_path), "--out", str(tmp_path / "runs"), *arguments]) == 0
    folder = RunFolder.of(tmp_path / "runs", "tiny", load_recipe(recipe_path, changes), 1)
    assert main(["evaluate", str(folder.model), str(recipe_path)]) == 1
    assert "--trust" in capsys.readouterr().err
    assert main(["evaluate", str(folder.model), str(recipe_path), "--trust"]) == 0
    assert folder.read_scores()["lenient"].to_markdown() in capsys.readouterr().out
    assert Classifier.load(folder.model).label_type == "ner"


def test_a_table_is_filled_read_and_shared(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = table_file(tmp_path, recipe_path), tmp_path / "runs"
    assert main(["table", str(path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert (out / "tables/table.md").read_text(encoding="utf-8").strip() == printed.strip()
    rows = list(csv.DictReader((out / "tables/table.csv").read_text(encoding="utf-8").splitlines()))
    f1 = {(row["system"], row["group"]): row for row in rows if row["column"] == "F1"}
    # The other corpus is the same one, so the cross-domain cell repeats the row's own.
    assert f1["text", "there"]["mean"] == f1["text", "here"]["mean"]
    assert (f1["captions", "here"]["n"], float(f1["captions", "here"]["paper"])) == ("2", 50)
    assert "captions − text | here | 2 |" in printed  # noqa: RUF001

    monkeypatch.setattr(run_module, "fit", None)  # nothing is trained again
    assert main(["table", str(path), "--out", str(out)]) == 0
    assert capsys.readouterr().out == printed
    assert main(["table", str(path), "--out", str(out), "--compare", "text", "captions"]) == 0
    assert "text − captions | here | 2 |" in capsys.readouterr().out  # noqa: RUF001
    assert main(["table", str(path), "--out", str(out), "--compare", "text", "caption"]) == 1
    assert "'caption' is none of captions, text" in capsys.readouterr().err

    # What is there is shown without waiting for torch or Flair.
    call = f"code = main(['table', {str(path)!r}, '--out', {str(out)!r}, '--no-run'])"
    heavy = "sys.modules.keys() & {'flair', 'torch', 'transformers', 'sklearn'}"
    program = f"import sys; from flair_espvr.commands.main import main; {call}; sys.exit(str((code, {heavy})))"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (process.stdout, process.stderr.strip()) == (printed, "(0, set())")


@pytest.mark.parametrize(
    ("posts", "message"),
    [("", "0 training posts"), ("IMGID:0\nkevin\tO\n", "1 training posts, and no entity")],
)
def test_training_posts_without_an_entity_are_an_error(
    recipe_path: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], posts: str, message: str
) -> None:
    (corpus_folder / "train.txt").write_text(posts, encoding="utf-8")
    assert main(["train", str(recipe_path), "--out", str(tmp_path / "runs")]) == 1
    assert message in capsys.readouterr().err


def test_pictures_that_all_are_broken_train_no_model(
    recipe_path: Path, corpus_folder: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = corpus_folder / "images"
    images.mkdir()
    for number in range(12):
        (images / f"{number}.png").write_bytes(pictures[0].read_bytes()[:60])
    backbone = "regions={model: no_such_model, image_size: 64}"
    changes = ["--set", "model.regions=all", "--set", f"corpus.images={images}"]
    arguments = ["train", str(recipe_path), "--out", str(tmp_path / "runs"), *changes, "--set", backbone]
    assert main(arguments) == 1
    assert "no picture of the training posts can be read, for instance" in capsys.readouterr().err
    # One sound picture is enough: what fails next is the backbone.
    (images / "3.png").write_bytes(pictures[0].read_bytes())
    assert main(arguments) == 1
    assert "no_such_model" in capsys.readouterr().err


class Payload:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self._canary,)


def flairs_own(tiny_bert: Path) -> str:
    """What makes a recipe one of Flair's own tagger."""
    return f"embeddings: {{type: transformer, model: {tiny_bert}}}\nmodel: {{type: sequence_tagger, use_rnn: false}}\n"


def cross_domain_table(folder: Path, recipe: Path, changes: str) -> Path:
    """The row `text` of `table_file` alone, with one seed."""
    path = table_file(folder, recipe)
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**table, "rows": table["rows"][1:], "compare": []}), encoding="utf-8")
    (folder / "text.yaml").write_text(f"extends: tiny.yaml\nseeds: [1]\n{changes}", encoding="utf-8")
    return path


@pytest.mark.parametrize(("is_flairs", "trust"), [(False, []), (False, ["--trust"]), (True, [])])
def test_models_in_somebodys_runs_are_not_unpickled(
    recipe_path: Path,
    tmp_path: Path,
    tiny_bert: Path,
    capsys: pytest.CaptureFixture[str],
    is_flairs: bool,
    trust: list[str],
) -> None:
    """A run that is done but for its score on the other corpus; its model is a payload."""
    path = cross_domain_table(tmp_path, recipe_path, flairs_own(tiny_bert) * is_flairs)
    folder = RunFolder.of(tmp_path / "runs", "text", load_recipe(tmp_path / "text.yaml"), 1)
    folder.path.mkdir(parents=True)
    scores = Scores({}, 1, "lenient")
    folder.write_evaluation(Evaluation([[]], [[]], scores, scores))
    torch.save(Payload(tmp_path / "canary"), folder.model)
    assert main(["table", str(path), "--out", str(tmp_path / "runs"), *trust]) == 3
    assert "not made: text, there, seed 1" in capsys.readouterr().err
    assert not (tmp_path / "canary").exists()


def test_flairs_own_models_are_scored_on_another_corpus_where_trusted(
    recipe_path: Path, tmp_path: Path, tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cross_domain_table(tmp_path, recipe_path, flairs_own(tiny_bert))
    assert main(["table", str(path), "--out", str(tmp_path / "runs")]) == 3
    assert "trusted (--trust)" in capsys.readouterr().err
    assert main(["table", str(path), "--out", str(tmp_path / "runs"), "--trust"]) == 0


def test_a_row_that_cannot_be_made_does_not_stop_the_others(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table_file(tmp_path, recipe_path)
    captions = yaml.safe_load(recipe_path.read_text(encoding="utf-8"))
    captions["embeddings"]["contexts"] = ["tags"]
    recipe_path.write_text(yaml.safe_dump({**captions, "seeds": [1]}), encoding="utf-8")
    (tmp_path / "text.yaml").write_text("extends: tiny.yaml\nembeddings: {contexts: []}\n", encoding="utf-8")
    assert main(["table", str(path), "--out", str(tmp_path / "runs")]) == 3
    printed = capsys.readouterr()
    assert "no training post has one" in printed.err
    assert "| captions | paper |" in printed.out
    assert "| text | ours, 1 seed |" in printed.out


def test_a_table_that_is_killed_twice_is_the_same_table(recipe_path: Path, tmp_path: Path) -> None:
    path = table_file(tmp_path, recipe_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(["table", str(path), "--out", str(whole)]) == 0
    arguments = [sys.executable, "-m", "flair_espvr.commands.main", "table", str(path), "--out", str(killed)]
    for started in (2, 4):
        process = subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        seen = 0
        for line in process.stderr:  # one line announces each run that is missing
            seen += ", seed " in line and "batch" not in line
            if seen == started:
                break
        process.kill()
        process.communicate()
    assert main(["table", str(path), "--out", str(killed)]) == 0
    for name in ("table.md", "table.csv", "table.tex"):
        assert (killed / "tables" / name).read_bytes() == (whole / "tables" / name).read_bytes()


def test_a_search_ranks_by_dev_score(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = tmp_path / "search.yaml"
    grid = {"training.learning_rate": ["1e-6", "1e-2"], "model.dropout": [0.0, 0.2]}
    search.write_text(yaml.safe_dump({"recipe": recipe_path.name, "grid": grid}), encoding="utf-8")
    assert main(["search", str(search), "--out", str(tmp_path / "runs"), "--no-run"]) == 0
    assert capsys.readouterr().out.count("not done") == 4
    asked = []

    def on_cluster(work: Any, jobs: list[Any], **options: Any) -> Any:
        """Without the cluster: its tasks are called one after the other."""
        asked.append((len(jobs), options))
        return map(work, jobs)

    monkeypatch.setattr("flair_espvr.tagging.backends.ray.on_cluster", on_cluster)
    assert main(["search", str(search), "--out", str(tmp_path / "runs"), "--workers", "2", "--ray"]) == 0
    assert asked == [(4, {"address": "local", "workers": 2, "gpus_per_worker": 0})]
    output = capsys.readouterr().out
    assert "largest training.learning_rate that was tried, 1e-2: try a larger one" in output
    lines = [line for line in output.splitlines() if line.startswith("|")][2:]
    scores = [float(line.split("|")[-2]) for line in lines]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert "| 1e-2 |" in lines[0]
    monkeypatch.setattr(run_module, "fit", None)
    assert main(["search", str(search), "--out", str(tmp_path / "runs")]) == 0

    search.write_text(yaml.safe_dump({"recipe": recipe_path.name, "grid": {"model.windw": [1]}}), encoding="utf-8")
    assert main(["search", str(search)]) == 1
    assert "did you mean window?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("ray", "one_thread")
def test_a_table_and_a_search_on_a_cluster_are_those_of_one_process(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, search = table_file(tmp_path, recipe_path), tmp_path / "search.yaml"
    search.write_text(
        yaml.safe_dump({"recipe": recipe_path.name, "grid": {"training.learning_rate": ["1e-6", "1e-2"]}}),
        encoding="utf-8",
    )
    printed: dict[str, str] = {}
    for name, options in {"here": [], "there": ["--workers", "2", "--ray"]}.items():
        out = ["--out", str(tmp_path / name)]
        assert main(["table", str(table), *out, *options]) == 0
        assert main(["search", str(search), *out, *options]) == 0
        printed[name] = capsys.readouterr().out
    assert printed["there"] == printed["here"]
    for file in ("table.md", "table.csv", "table.tex"):
        assert (tmp_path / "there/tables" / file).read_bytes() == (tmp_path / "here/tables" / file).read_bytes()


def test_a_check_opens_what_a_recipe_names(
    recipe_path: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        "corpus.test_file=absent.txt",
        "embeddings.model=package:absent_package/model",
        "model={regions: all}",
        "regions={model: resnet18, checkpoint: ./absent.safetensors}",
    ]
    assert main(["recipe", "check", str(recipe_path), *(part for text in changes for part in ("--set", text))]) == 1
    errors = capsys.readouterr().err.splitlines()
    for line, expected in zip(errors, ("corpus: ", "embeddings: ", "regions: "), strict=True):
        assert line.startswith(f"{recipe_path}: {expected}")
    assert "no test file absent.txt" in errors[0]
    assert "absent_package is not installed" in errors[1]
    assert "no such checkpoint file" in errors[2]
    changes[-1] = "regions={model: vit_tiny_patch16_224, image_size: 50}"
    assert main(["recipe", "check", str(recipe_path), "--set", changes[2], "--set", changes[3]]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "the recipe reads pictures, but no training post has one" in errors[0]
    assert "regions: " in errors[1]  # 50 pixels are no number of patches of 16


def test_a_recipe_for_ones_own_posts_is_written_and_trained(
    corpus_folder: Path,
    pictures: list[Path],
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (corpus_folder / "valid.txt").unlink()
    (corpus_folder / "captions.tsv").unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "new", "posts"]) == 0
    assert main(["recipe", "check", "posts.yaml"]) == 0
    written = Path("posts.yaml").read_text(encoding="utf-8")
    assert "posts/train.txt: 12 posts, " in written
    assert "types: PER (" in written
    assert "dev_file: null" in written
    assert "use_caption: false" in written
    assert "regions: none" in written
    small = ["model.hidden_size=8", "training.max_epochs=1", f"embeddings.model={tiny_bert}"]
    assert main(["train", "posts.yaml", *(part for text in small for part in ("--set", text))]) == 0

    assert main(["recipe", "new", "posts"]) == 1
    assert "posts.yaml: is there already" in capsys.readouterr().err
    (corpus_folder / "images").mkdir()
    (corpus_folder / "images" / "1.png").write_bytes(pictures[0].read_bytes())
    assert main(["recipe", "new", "posts", "--out", "with.yaml"]) == 0
    (corpus_folder / "ocr.tsv").write_text("0\tEXIT\n")
    assert load_recipe("with.yaml").regions is not None
    assert main(["recipe", "new", "posts", "--out", "read.yaml"]) == 0
    embeddings = load_recipe("read.yaml").embeddings
    assert isinstance(embeddings, CaptionedTransformer)
    assert embeddings.contexts == ("ocr",)
    assert main(["recipe", "new", str(corpus_folder / "images")]) == 1
    assert "no file of training posts" in capsys.readouterr().err


def test_captions_are_read_where_there_are_any(recipe_path: Path, tmp_path: Path) -> None:
    """One's own posts without captions train all the same."""
    (tmp_path / "posts" / "captions.tsv").unlink()
    arguments = ["--set", "corpus.captions=null", "--set", "training.max_epochs=1", "--seed", "1"]
    assert main(["train", str(recipe_path), "--out", str(tmp_path / "runs"), *arguments]) == 0
    (log,) = (tmp_path / "runs").rglob("training.log")
    assert "no post has a caption, so the words are read alone" in log.read_text(encoding="utf-8")


def test_recipes_are_checked_and_shown(recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "check", str(recipe_path)]) == 0
    assert main(["recipe", "check", str(recipe_path), str(tmp_path / "absent.yaml")]) == 1
    assert "absent.yaml" in capsys.readouterr().err
    assert main(["recipe", "show", str(recipe_path), "--set", "training.max_epochs=9"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["training"]["max_epochs"], shown["model"]["span_loss_weight"]) == (9, 0.08)


def test_packaged_recipes_are_listed_and_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "list"]) == 0
    printed = capsys.readouterr().out
    listed = [line.split()[0] for line in printed.splitlines() if line.startswith("  ")]
    assert "recipes/tables/table1.yaml" in listed
    heading = printed.index("Twitter-2017, with the papers' encoders and settings\n")
    assert heading < printed.index("recipes/twitter_2017/umt.yaml  Reproduces: ")
    assert len(listed) > 40
    assert main(["recipe", "check", "recipes/quickstart.yaml"]) == 0
    assert capsys.readouterr().out == "recipes/quickstart.yaml: no mistakes\n"


def test_tables_and_searches_are_checked_with_their_recipes(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_file(tmp_path, recipe_path)
    search = tmp_path / "search.yaml"
    search.write_text(yaml.safe_dump({"recipe": recipe_path.name, "grid": {"training.max_epochs": [1, 2]}}))
    assert main(["recipe", "check", str(table), str(search)]) == 0
    recipe_path.write_text(recipe_path.read_text(encoding="utf-8").replace("dropout", "droput"), encoding="utf-8")
    assert main(["recipe", "check", str(table), str(search)]) == 1
    printed = capsys.readouterr().err
    assert (
        printed.count("model.droput: unknown key; did you mean dropout?") == 3
    )  # in two recipes of the table, in that of the search
    search.write_text(yaml.safe_dump({"recipe": recipe_path.name, "grid": {}, "sed": 1}))
    assert main(["recipe", "check", str(search)]) == 1
    assert "sed: unknown key; did you mean seed?" in capsys.readouterr().err


def test_weights_of_types_that_are_not_there_are_refused(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(recipe_path), "--out", str(tmp_path / "runs"), "--set", "training.type_weights={PET: 2}"]
    assert main(arguments) == 1
    assert "training.type_weights: no training post has PET, only ['PER', 'LOC']" in capsys.readouterr().err
