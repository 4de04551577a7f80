"""The runs behind a table: a recipe and a seed for each, scored on its own corpus or on another."""

from dataclasses import dataclass
from pathlib import Path

from flair_espvr.evaluation.evaluate import evaluate
from flair_espvr.models.loading import load_tagger
from flair_espvr.training.build import build_split
from flair_espvr.training.recipes import sections
from flair_espvr.training.recipes.recipe import Recipe, digest
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.runs.run import run
from flair_espvr.training.runs.run_folder import TEST, RunFolder
from flair_espvr.training.tables.table_file import TableFile


@dataclass(frozen=True)
class CellRun:
    """One seed of one cell: what is run, and which of its evaluations the cell shows.

    `trusted` says whether its model may be one of Flair's own, see `load_tagger`.
    """

    row: str
    group: str
    recipe: Recipe
    seed: int
    folder: RunFolder
    other_corpus: Recipe | None
    trusted: bool

    def __str__(self) -> str:
        return f"{self.row}, {self.group}, seed {self.seed}"

    @property
    def evaluation(self) -> str:
        """Name of the evaluation that the cell shows."""
        if self.other_corpus is None:
            return TEST
        section = self.other_corpus.corpus
        return f"{section.type}-{digest(section.model_dump(mode='json', exclude_defaults=True))}"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.folder.is_done() and self.folder.is_done(self.evaluation)

    def make(self) -> None:
        """Trains and evaluates what is missing; raises what `run` raises."""
        run(self.recipe, seed=self.seed, folder=self.folder, description=str(self))
        if self.other_corpus is not None and not self.folder.is_done(self.evaluation):
            corpus = build_split(self.other_corpus.corpus, "test")
            result = evaluate(
                load_tagger(self.folder.model, trusted=self.trusted),
                corpus.test,
                gold_label_type=self.other_corpus.corpus.label_type,
                edition=corpus.edition,
            )
            self.folder.write_evaluation(result, self.evaluation)


def cell_runs(table: TableFile, runs: Path, *, trust: bool = False) -> list[CellRun]:
    """All runs of a table, the first seed of every cell first: a table that is stopped has rows that compare.

    Args:
        table: what is shown.
        runs: the folder of all runs.
        trust: whether models of recipes for Flair's own taggers are unpickled to score them on another corpus.
    """
    found = []
    for row in table.rows:
        for group, cell in row.cells.items():
            if cell.recipe is None:
                continue
            recipe = load_recipe(cell.recipe)
            other = None if cell.corpus is None else load_recipe(cell.corpus)
            for place, seed in enumerate(table.seeds or recipe.seeds):
                folder = RunFolder.of(runs, cell.recipe.stem, recipe, seed)
                trusted = trust and isinstance(recipe.model, sections.SequenceTagger)
                found.append((place, CellRun(row.title, group, recipe, seed, folder, other, trusted)))
    return [cell_run for _, cell_run in sorted(found, key=lambda pair: pair[0])]
