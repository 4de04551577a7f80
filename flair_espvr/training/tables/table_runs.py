"""Making the runs behind a table: a recipe and a seed for each, scored on its own corpus or on another."""

from dataclasses import dataclass
from pathlib import Path

from flair_espvr.evaluation.evaluate import evaluate
from flair_espvr.models.loading import load_tagger
from flair_espvr.training.build import build_split
from flair_espvr.training.recipes import sections
from flair_espvr.training.recipes.recipe import Recipe
from flair_espvr.training.recipes.recipe_file import load_recipe
from flair_espvr.training.runs.run import run
from flair_espvr.training.runs.run_folder import RunFolder
from flair_espvr.training.tables.cell_runs import CellRun, evaluation_of
from flair_espvr.training.tables.table_file import TableFile


@dataclass(frozen=True, kw_only=True)
class CellJob(CellRun):
    """One seed of one cell, and what is run for it.

    `trusted` says whether its model may be one of Flair's own, see `load_tagger`.
    """

    recipe: Recipe
    other_corpus: sections.CorpusSection | None
    trusted: bool

    def make(self) -> None:
        """Trains and evaluates what is missing; raises what `run` raises."""
        run(self.recipe, seed=self.seed, folder=self.folder, description=str(self))
        if self.other_corpus is not None and not self.folder.is_done(self.evaluation):
            corpus = build_split(self.other_corpus, "test")
            result = evaluate(
                load_tagger(self.folder.model, trusted=self.trusted),
                corpus.test,
                gold_label_type=self.other_corpus.label_type,
                edition=corpus.edition,
            )
            self.folder.write_evaluation(result, self.evaluation)


def cell_jobs(table: TableFile, runs: Path, *, trust: bool = False) -> list[CellJob]:
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
            other = None if cell.corpus is None else load_recipe(cell.corpus).corpus
            for place, seed in enumerate(table.seeds or recipe.seeds):
                job = CellJob(
                    row.title,
                    group,
                    seed,
                    RunFolder.of(runs, cell.recipe.stem, recipe, seed),
                    evaluation_of(other),
                    recipe=recipe,
                    other_corpus=other,
                    trusted=trust and isinstance(recipe.model, sections.SequenceTagger),
                )
                found.append((place, job))
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]
