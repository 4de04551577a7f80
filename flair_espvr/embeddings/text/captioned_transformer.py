"""Word vectors from a transformer that reads contexts, such as the picture's caption, after the post (paper 3.2)."""

import inspect
from collections.abc import Sequence
from typing import Any

import flair
import torch
from flair.data import Sentence
from flair.embeddings import TransformerWordEmbeddings
from flair.embeddings.base import register_embeddings
from transformers import PreTrainedTokenizerBase

from flair_espvr.data.metadata import CAPTION, CONTEXTS, OBJECTS, metadata_or_none
from flair_espvr.embeddings.text.encoder_prefix import attention_shape, prefix_inputs
from flair_espvr.embeddings.text.wordpieces import captioned_lengths, encode_captioned, pool_wordpieces
from flair_espvr.errors import ConfigurationError
from flair_espvr.flair_compat import expand_with_context
from flair_espvr.io.pretrained import find_model
from flair_espvr.nn.layers.visual_prefix import AttentionShape, EncoderPrefix

MEASURED_AT_ONCE = 1024
"""Sentences whose wordpieces are in memory while lengths are counted."""


@register_embeddings
class CaptionedTransformerEmbeddings(TransformerWordEmbeddings):
    """Flair's `TransformerWordEmbeddings` over `[CLS] words [SEP] caption [SEP]`, or other contexts in its place.

    Contexts are texts in the sentence's metadata, `"caption"`, `"tags"`, `"ocr"`, `"knowledge"`, or the names of its
    `"objects"`. Several follow one another in the given order, as does a list of captions, each behind a separator:
    `[CLS] words [SEP] tags [SEP] caption [SEP]`. Contexts inform the words through attention; their own states never
    leave the encoder. A sentence without any is encoded as Flair encodes it. Where post and contexts do not fit the
    encoder together, the contexts are cut, the last one first; words of a post that is too long on its own, and words
    without a wordpiece, get zero vectors in their place.
    """

    def __init__(
        self,
        model: str = "bert-base-uncased",
        *,
        contexts: Sequence[str] = (CAPTION,),
        use_caption: bool = True,
        max_caption_tokens: int | None = None,
        allow_long_sentences: bool = False,
        use_context_separator: bool = False,
        name: str | None = None,
        **transformer_word_embeddings_arguments: Any,
    ) -> None:
        """Load the encoder.

        Args:
            model: name on the Hugging Face hub, a local folder, or `package:NAME/PATH` for one in an installed package,
                such as `MINILM_L6`.
            contexts: keys of the sentence's metadata to read after its words, in this order.
            use_caption: False leaves `"caption"` out of `contexts`, the paper's "w/o IC".
            max_caption_tokens: longest caption, or all contexts together, in wordpieces; None for what the encoder has
                room for.
            allow_long_sentences: must stay False: a post in overlapping windows has no one place for its caption.
            use_context_separator: mark neighbouring sentences (Flair's `use_context`) with a token of their own, which
                adds a row to the encoder's vocabulary; only useful together with `use_context`.
            name: key of the vectors on Flair's tokens; by default none that Flair's own embeddings of this model use.
            transformer_word_embeddings_arguments: as for Flair's `TransformerWordEmbeddings`.

        Raises:
            ConfigurationError: the model cannot be had, its tokenizer is not a "fast" one, `allow_long_sentences` is
                set, `max_caption_tokens` is negative, or `contexts` names what is none or one twice.
        """
        if isinstance(contexts, str) or not set(contexts) <= set(CONTEXTS) or len(set(contexts)) < len(contexts):
            raise ConfigurationError(f"contexts={contexts!r}: expected some of {', '.join(CONTEXTS)}, each once")
        if max_caption_tokens is not None and (type(max_caption_tokens) is not int or max_caption_tokens < 0):
            raise ConfigurationError(f"max_caption_tokens={max_caption_tokens!r:.60}: expected None, 0 or more")
        if allow_long_sentences:
            raise ConfigurationError(
                "CaptionedTransformerEmbeddings cannot split a post into overlapping windows: leave "
                "allow_long_sentences at False (words beyond the encoder's limit get zero vectors), or use Flair's "
                "TransformerWordEmbeddings"
            )
        if transformer_word_embeddings_arguments.get("saved_config") is None:  # a model file holds its encoder
            model = find_model(model)
        super().__init__(
            model,
            allow_long_sentences=False,
            use_context_separator=use_context_separator,
            name=name,
            **transformer_word_embeddings_arguments,
        )
        if name is None:
            self.name: str = f"captioned-{self.name}"
        if not self.tokenizer.is_fast:
            raise ConfigurationError(
                f"{model}: its tokenizer ({type(self.tokenizer).__name__}) has no fast version, which is needed to "
                "tell words from captions; choose a model with a tokenizer.json"
            )
        self.contexts = tuple(key for key in contexts if use_caption or key != CAPTION)
        self.max_caption_tokens = max_caption_tokens
        self._has_segments = _has_segments(self.tokenizer, self.model)

    @property
    def use_caption(self) -> bool:
        """Whether captions are among the contexts."""
        return CAPTION in self.contexts

    def to_args(self) -> dict[str, Any]:
        """Return the arguments that make these embeddings again; part of what a model file keeps."""
        own = {}
        if hasattr(self, "contexts"):  # Flair's constructor asks while it is still building
            own = {"contexts": list(self.contexts), "max_caption_tokens": self.max_caption_tokens}
        return {**super().to_args(), **own}

    def prepare_tensors(
        self, sentences: list[Sentence], device: torch.device | None = None, *, with_contexts: bool = True
    ) -> dict[str, torch.Tensor]:
        """Return the encoder's input for a batch.

        Args:
            sentences: B sentences, none empty.
            device: where the tensors go; Flair's device by default.
            with_contexts: False for the words alone.

        Returns:
            `input_ids`, `attention_mask`, `word_ids` (B,S), where a word id is the word's position in the sentence and
            -100 everywhere else, `token_lengths` (B,), which stays on the CPU, and, where the encoder has segments,
            `token_type_ids` (B,S).
        """
        if self.context_length > 0:
            Sentence.set_context_for_sentences(sentences)
        expanded = [expand_with_context(self, sentence) for sentence in sentences]
        encodings = encode_captioned(
            self.tokenizer,
            [[token.text for token in tokens] for tokens, _ in expanded],
            [self._context_words(sentence) if with_contexts else None for sentence in sentences],
            max_caption_tokens=self.max_caption_tokens,
            pad_to=self.tokenizer.model_max_length if self.force_max_length else 0,
        )
        word_ids = [
            _sentence_word_ids(encoding.word_ids, offset, len(sentence))
            for encoding, (_, offset), sentence in zip(encodings, expanded, sentences, strict=True)
        ]
        columns: dict[str, Any] = {
            "input_ids": [encoding.ids for encoding in encodings],
            "attention_mask": [encoding.attention_mask for encoding in encodings],
            "word_ids": word_ids,
        }
        if self._has_segments:
            columns["token_type_ids"] = [encoding.type_ids for encoding in encodings]
        device = device or flair.device
        tensors = {key: torch.tensor(rows).to(device, non_blocking=True) for key, rows in columns.items()}
        # The size of the result depends on the lengths: on the device, it would have to be waited for.
        return {**tensors, "token_lengths": torch.tensor([len(sentence) for sentence in sentences])}

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        word_ids: torch.Tensor,
        token_lengths: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        prefix: EncoderPrefix | None = None,
    ) -> dict[str, torch.Tensor]:
        """Word vectors of a prepared batch: `{"token_embeddings": (B,T,D)}`, zero where a word has none."""
        inputs: dict[str, Any] = {"attention_mask": attention_mask}
        if prefix is not None:
            inputs = prefix_inputs(prefix, attention_mask)
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        states = self.model(input_ids, **inputs).hidden_states
        layers = [states[index] for index in self.layer_indexes]
        hidden = torch.stack(layers).mean(dim=0) if self.layer_mean else torch.cat(layers, dim=-1)  # (B,S,D)
        words = int(token_lengths.max())
        result = {"token_embeddings": pool_wordpieces(hidden, word_ids, words, pooling=self.subtoken_pooling)}
        if self.document_embedding:
            result["document_embeddings"] = hidden[:, 0]
        return result

    def embed_batch(self, sentences: list[Sentence]) -> torch.Tensor:
        """Word vectors of a batch as one padded tensor (B,T,D), without storing anything on the tokens."""
        return self._embed(sentences, with_contexts=True)

    def embed_text(self, sentences: list[Sentence]) -> torch.Tensor:
        """As `embed_batch`, of the words alone, whatever contexts there are."""
        return self._embed(sentences, with_contexts=False)

    def embed_prefixed(self, sentences: list[Sentence], prefix: EncoderPrefix | None) -> torch.Tensor:
        """As `embed_batch`, behind a prefix that all attention layers read."""
        return self._embed(sentences, with_contexts=True, prefix=prefix)

    @property
    def attention_shape(self) -> AttentionShape:
        """What a prefix has to fit.

        Raises:
            ConfigurationError: the encoder cannot read one, or does not learn: what makes a prefix learns through it.
        """
        if not self.fine_tune:
            raise ConfigurationError("a frozen encoder passes no gradient on to its prefix; use fine_tune=True")
        return attention_shape(self.model)

    def _embed(
        self, sentences: list[Sentence], *, with_contexts: bool, prefix: EncoderPrefix | None = None
    ) -> torch.Tensor:
        tensors = self.prepare_tensors(sentences, with_contexts=with_contexts)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.fine_tune and self.training):
            return self(**tensors, prefix=prefix)["token_embeddings"]

    def input_lengths(self, sentences: Sequence[Sentence]) -> list[int]:
        """Wordpieces that the encoder reads for each sentence alone, contexts included: for batches of like lengths."""
        lengths = []
        for start in range(0, len(sentences), MEASURED_AT_ONCE):
            some = sentences[start : start + MEASURED_AT_ONCE]
            lengths += captioned_lengths(
                self.tokenizer,
                [[token.text for token in expand_with_context(self, sentence)[0]] for sentence in some],
                [self._context_words(sentence) for sentence in some],
                max_caption_tokens=self.max_caption_tokens,
            )
        return lengths

    def used_tokens(self, sentence: Sentence) -> list[str]:
        """All words that the encoder reads for a sentence besides Flair's context: its own and its contexts'."""
        return [token.text for token in sentence] + (self._context_words(sentence) or [])

    def _context_words(self, sentence: Sentence) -> list[str] | None:
        """Return the words of all contexts, a separator between one text and the next; None where there are none."""
        words: list[str] = []
        for key in self.contexts:
            texts = metadata_or_none(sentence, key) or []
            if key == OBJECTS:
                texts = " ".join(map(str, texts))
            for text in [texts] if isinstance(texts, str) else texts:
                own = text.split()
                if words and own and self.tokenizer.sep_token is not None:
                    words.append(self.tokenizer.sep_token)
                words += own
        return words or None


def _sentence_word_ids(word_ids: Sequence[int | None], offset: int, length: int) -> list[int]:
    """Return the sentence's own word under each wordpiece; -100 for neighbouring sentences and everything else."""
    return [word - offset if word is not None and offset <= word < offset + length else -100 for word in word_ids]


def _has_segments(tokenizer: PreTrainedTokenizerBase, model: torch.nn.Module) -> bool:
    accepted: Sequence[str] = list(inspect.signature(model.forward).parameters)
    return "token_type_ids" in tokenizer.model_input_names and "token_type_ids" in accepted
