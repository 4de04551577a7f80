"""The sections of a recipe: what each may say, with the defaults of the paper (4.1) and of Flair.

`corpus`, `embeddings`, `model` and `training` each come in several kinds, told apart by their `type`. Unknown keys are
errors; paths are relative to the recipe's file. Text like `1e-4`, which YAML 1.1 reads as a string, is a number where a
number is expected.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flair_espvr.data.formats.detect import CORPUS_FILES, JSONL_FILES
from flair_espvr.nn.config import NaturalNumber, PositiveFloat, PositiveInt, Share

Place = Path | Literal[False] | None
"""Where something is; null for what the folder of posts brings along, false for nothing."""

FileNames = str | tuple[str, ...] | None
"""The file of a split, by its name, several of which the first that is there counts, or null for no such split."""


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class _Corpus(Section):
    """What all corpora have.

    Where `images`, `captions`, `tags`, `ocr`, `knowledge` or `objects` is left out, it is what the folder brings along:
    its folder `images`, its `captions.tsv`, `tags.tsv`, `ocr.tsv`, `knowledge.tsv` and `objects.jsonl`. `false` leaves
    it aside. `gold_regions` likewise, its `regions.jsonl`.
    """

    images: Place = None
    captions: Place = None
    tags: Place = None
    ocr: Place = None
    knowledge: Place = None
    objects: Place = None
    gold_regions: Place = None
    label_type: str = "ner"
    label_name_map: dict[str, str] | None = None


class FolderCorpus(_Corpus):
    """A folder of posts. A split's file is a name, several of which the first that is there counts, or null for none.

    Of a split without a file, a tenth of the training posts takes the place, the same in all runs. `spaces` says
    whether there are spaces between words; without them, as in Chinese, pages show the text as it was written.
    """

    folder: Path
    spaces: bool = True
    train_file: FileNames
    dev_file: FileNames
    test_file: FileNames


class ColumnCorpus(FolderCorpus):
    """Arguments of `MultimodalCorpus`: files of `word<TAB>tag` lines, or JSONL where they are named `.jsonl`."""

    type: Literal["columns"] = "columns"
    train_file: FileNames = CORPUS_FILES["train"]
    dev_file: FileNames = CORPUS_FILES["dev"]
    test_file: FileNames = CORPUS_FILES["test"]


class PostsCorpus(FolderCorpus):
    """Arguments of `POSTS`: JSONL files."""

    type: Literal["posts"]
    train_file: FileNames = JSONL_FILES["train"]
    dev_file: FileNames = JSONL_FILES["dev"]
    test_file: FileNames = JSONL_FILES["test"]


class TwitterCorpus(_Corpus):
    """Arguments of `TWITTER_2015` and `TWITTER_2017`.

    Without `folder`, the corpus is Flair's cached copy, downloaded once.
    """

    type: Literal["twitter_2015", "twitter_2017"]
    folder: Path | None = None
    allow_other_edition: bool = False


class CaptionedTransformer(Section):
    """Arguments of `CaptionedTransformerEmbeddings`; `package:NAME/PATH` names a model inside a Python package."""

    type: Literal["captioned_transformer"] = "captioned_transformer"
    model: str
    contexts: tuple[Literal["caption", "tags", "ocr", "knowledge", "objects"], ...] = ("caption",)
    use_caption: bool = True
    max_caption_tokens: PositiveInt | None = None


class Transformer(Section):
    """Arguments of Flair's `TransformerWordEmbeddings`, fine-tuned: last layer, first wordpiece of each word."""

    type: Literal["transformer"]
    model: str
    subtoken_pooling: Literal["first", "last", "first_last", "mean"] = "first"


class Words(Section):
    """Arguments of Flair's `WordEmbeddings`: a name that Flair knows, or a file of vectors."""

    type: Literal["words"]
    vectors: str
    fine_tune: bool = False


class Characters(Section):
    """Arguments of `CharacterLSTMEmbeddings`, a BiLSTM over a word's characters (Lample et al., 2016)."""

    type: Literal["characters"]
    char_embedding_dim: PositiveInt = 25
    hidden_size_char: PositiveInt = 25


class CharacterCNN(Section):
    """Arguments of `CharacterCNNEmbeddings`, a convolution over a word's characters (Ma and Hovy, 2016)."""

    type: Literal["character_cnn"]
    char_embedding_dim: PositiveInt = 30
    filters: PositiveInt = 30
    width: PositiveInt = 3
    dropout: Share = 0.5


class Stack(Section):
    """Several word-level embeddings side by side, as Flair's `StackedEmbeddings`."""

    type: Literal["stack"]
    parts: Annotated[
        tuple[
            Annotated[
                CaptionedTransformer | Transformer | Words | Characters | CharacterCNN, Field(discriminator="type")
            ],
            ...,
        ],
        Field(min_length=1),
    ]


class Regions(Section):
    """Arguments of `ImageRegionEmbeddings`; `checkpoint` may be `package:NAME/PATH`, a file in a Python package.

    Without `store`, a run uses one beside all runs, which those of the same backbone, size and stages share.
    """

    model: str
    image_size: PositiveInt | None = None
    stages: PositiveInt = 1
    checkpoint: str | None = None
    store: Path | None = None


class SequenceTagger(Section):
    """Arguments of Flair's own `SequenceTagger`, with Flair's defaults: the text rows of the paper's Table 1."""

    type: Literal["sequence_tagger"]
    use_rnn: bool = True
    use_crf: bool = True
    hidden_size: PositiveInt = 256
    rnn_layers: PositiveInt = 1
    reproject_embeddings: bool = True
    tag_format: Literal["BIO", "BIOES"] = "BIO"
    dropout: Share = 0.0
    word_dropout: Share = 0.05
    locked_dropout: Share = 0.5


class Training(Section):
    """What all kinds of training share.

    With `multi_gpu`, `mini_batch_size` is that of all GPUs together, and the training cannot be resumed.
    `early_stopping` ends it after so many epochs without a better dev score. `type_weights`, as `{ORG: 2}`, lets a
    training post count as much as the weightiest of its types, those that are not named being 1. `matmul_precision` is
    torch's of float32 matrix products (`torch.set_float32_matmul_precision`) in training, not in the tests after it:
    `high` rounds what is multiplied to TensorFloat32, `medium` to bfloat16, on hardware that gains time by it.
    """

    resume: bool = True
    multi_gpu: bool = False
    early_stopping: PositiveInt | None = None
    type_weights: dict[str, PositiveFloat] | None = None
    matmul_precision: Literal["highest", "high", "medium"] = "highest"

    @model_validator(mode="after")
    def _several_gpus_do_not_resume(self) -> "Training":
        if self.multi_gpu and self.resume:
            raise ValueError("a training on several GPUs (multi_gpu) cannot be resumed: set training.resume to false")
        return self


class FineTune(Training):
    """Arguments of Flair's `ModelTrainer.fine_tune`: AdamW, linear warm-up and decay."""

    type: Literal["fine_tune"] = "fine_tune"
    learning_rate: PositiveFloat
    decoder_learning_rate: PositiveFloat | None = None
    mini_batch_size: PositiveInt = 32
    mini_batch_chunk_size: PositiveInt | None = None
    max_epochs: PositiveInt = 10
    warmup_fraction: Share = 0.1
    use_amp: bool = False
    use_final_model_for_eval: bool = False


class Train(Training):
    """Arguments of Flair's `ModelTrainer.train`: stochastic gradient descent that anneals where dev F1 stands still."""

    type: Literal["train"]
    learning_rate: PositiveFloat = 0.1
    decoder_learning_rate: PositiveFloat | None = None
    mini_batch_size: PositiveInt = 32
    mini_batch_chunk_size: PositiveInt | None = None
    max_epochs: PositiveInt = 100
    anneal_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: NaturalNumber = 3
    min_learning_rate: PositiveFloat = 1e-4
    use_final_model_for_eval: bool = False


CorpusSection = Annotated[ColumnCorpus | PostsCorpus | TwitterCorpus, Field(discriminator="type")]
EmbeddingsSection = Annotated[
    CaptionedTransformer | Transformer | Words | Characters | CharacterCNN | Stack, Field(discriminator="type")
]
TrainingSection = Annotated[FineTune | Train, Field(discriminator="type")]
