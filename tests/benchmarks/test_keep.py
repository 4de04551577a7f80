"""Runs that are kept without their posts make the table that they made with them."""

import json
from pathlib import Path

import yaml

from benchmarks import keep
from flair_espvr.commands.main import main
from flair_espvr.data.bio import EntitySpan
from flair_espvr.evaluation.evaluate import Evaluation
from flair_espvr.evaluation.scores import score_tags
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.runs.run_folder import RunFolder

GOLD = [[EntitySpan(0, 1, "PER"), EntitySpan(2, 3, "LOC")], [EntitySpan(0, 1, "LOC")]]
GOLD_TAGS = [["B-PER", "O", "B-LOC"], ["B-LOC", "O"]]
ANSWERS = {
    "found": (GOLD, GOLD_TAGS),
    "guessed": ([GOLD[0][:1], [EntitySpan(1, 2, "PER")]], [["B-PER", "O", "O"], ["O", "B-PER"]]),
}
POSTS = [
    {"text": "Aldra visits Norwick", "words": ["Aldra", "visits", "Norwick"]},
    {"text": "Norwick again", "words": ["Norwick", "again"]},
]


def test_a_table_of_kept_runs_is_that_of_the_runs(recipe_path: Path, tmp_path: Path, capsys) -> None:
    runs, kept, rows = tmp_path / "runs", tmp_path / "kept", []
    for dropout, (title, (predicted, tags)) in enumerate(ANSWERS.items()):
        path = tmp_path / f"{title}.yaml"
        path.write_text(f"extends: {recipe_path.name}\nmodel: {{dropout: 0.{dropout}}}\nseeds: [1]\n", encoding="utf-8")
        recipe = load_recipe(path)
        folder = RunFolder.of(runs, title, recipe, 1)
        folder.path.mkdir(parents=True)
        folder.recipe.write_text(recipe.to_yaml(), encoding="utf-8")
        folder.given.write_text(json.dumps(recipe.given()), encoding="utf-8")
        environment = {"seed": 1, "machine": "here", "sha256": {str(tmp_path / "train.txt"): "abc"}}
        folder.environment.write_text(json.dumps(environment), encoding="utf-8")
        folder.model.touch()
        lenient, strict = (score_tags(GOLD_TAGS, tags, reading=reading) for reading in ("lenient", "strict"))
        folder.write_evaluation(Evaluation(GOLD, predicted, lenient, strict, posts=POSTS))
        rows.append({"title": title, "cells": {"here": {"recipe": path.name}}})
    table = tmp_path / "table.yaml"
    content = {"title": "Tiny", "groups": ["here"], "rows": rows, "compare": [["found", "guessed"]]}
    table.write_text(yaml.safe_dump(content), encoding="utf-8")

    keep.main([str(runs), str(table)], kept)
    assert capsys.readouterr().out.endswith("2 runs kept, 0 are not finished\n")
    assert main(["table", str(table), "--no-run", "--out", str(runs)]) == 0
    printed = capsys.readouterr().out
    assert main(["table", str(table), "--no-run", "--out", str(kept)]) == 0
    assert capsys.readouterr().out == printed
    assert "| found \N{MINUS SIGN} guessed | here | 1 | +60.00 |" in printed

    files = [path for path in kept.rglob("seed-1/*") if path.is_file()]
    assert {path.name for path in files} == {
        "recipe.yaml",
        "given.json",
        "environment.json",
        "scores.json",
        "test.counts.csv",
    }
    assert not any("Norwick" in path.read_text(encoding="utf-8") for path in files)
    hashes = [json.loads(path.read_text(encoding="utf-8"))["sha256"] for path in kept.rglob("environment.json")]
    assert hashes == [{"train.txt": "abc"}] * 2
