"""Sentence -> vectors of its picture, from a frozen backbone or from a store of what it computed before."""

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

import flair
import numpy as np
import torch
from flair.data import Sentence
from flair.embeddings import DocumentEmbeddings
from flair.embeddings.base import register_embeddings

from flair_espvr.data.metadata import IMAGE_ERROR, image_errors, sentence_images
from flair_espvr.data.region import Box
from flair_espvr.embeddings.image.backbone import Backbone, plain_arguments
from flair_espvr.embeddings.image.backbone_weights import Weights, read_weights
from flair_espvr.embeddings.image.crops import CROP_FOLDER, Crop, crop_header, crop_pixels
from flair_espvr.embeddings.image.store_access import StoreAccess, fill_rows
from flair_espvr.errors import BadImageError, ConfigurationError, RegionStoreError
from flair_espvr.flair_compat import remove_metadata
from flair_espvr.images.loading import ImageSource, content_key, describe_source, squashed_pixels
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.read_ahead import in_background
from flair_espvr.images.store.region_store import RegionStore
from flair_espvr.io.printable import printable
from flair_espvr.io.recent import Recent
from flair_espvr.io.thread_lock import ThreadLock
from flair_espvr.nn.features import ImageFeatures

log = logging.getLogger("flair.espvr.embeddings")

_REMEMBERED = 10_000
"""Unreadable pictures that are remembered: those are not read again, and named once."""

_building = ThreadLock()
"""Held while a backbone is built; not an attribute, which could not be pickled."""

DEFAULT_BACKBONE = "swin_large_patch4_window12_384.ms_in22k_ft_in1k"
"""The backbone of the paper (section 3.2)."""


@register_embeddings
class ImageRegionEmbeddings(DocumentEmbeddings):
    """Pooled and region vectors of the picture in a sentence's metadata (ESPVR, section 3.2).

    As Flair embeddings they put b_0 on each sentence; a multimodal tagger takes the whole grid from `regions`. The
    backbone is built when a picture first needs it: never, where a store holds them all. It is frozen and is no part of
    this module: not among its parameters, not in its state, always in evaluation mode.

    Vectors are rounded to half precision whether or not a store is used, so that a store changes no result.
    """

    def __init__(
        self,
        model: str = DEFAULT_BACKBONE,
        *,
        store: str | Path | None = None,
        read_only: bool = False,
        image_size: int | None = None,
        stages: int = 1,
        checkpoint: str | Path | None = None,
        pretrained: bool = True,
        model_arguments: Mapping[str, Any] | None = None,
        batch_size: int = 32,
        on_bad_image: str = "skip",
    ) -> None:
        """Set up the source of vectors; nothing is fetched or built yet.

        Args:
            model: name of a timm model whose features are a grid or a class token with patches.
            store: folder of a `RegionStore`. Pictures found there are not computed; others are computed and added.
            read_only: add nothing to the store, which must exist.
            image_size: pixels a side of the square that pictures are squashed to; by default the store's, or else what
                the model was trained on.
            stages: 1 takes what the model gives. More take the maps of its last stages, coarser ones repeated to the
                grid of the finest, and their mean as the pooled vector. 2 double the rows and columns of a CNN's
                regions, which finds smaller things in pictures, at no more work for the backbone.
            checkpoint: file with the backbone's weights (`.safetensors`, `.pth`), in place of those that timm fetches;
                `package:NAME/PATH` for one in an installed package, such as `EFFICIENTNET_LITE0`.
            pretrained: fetch timm's weights where there is no checkpoint; random ones otherwise.
            model_arguments: further plain arguments of `timm.create_model`.
            batch_size: pictures per forward pass of the backbone.
            on_bad_image: `"skip"` takes an unreadable picture for no picture, with one warning; `"raise"` stops.

        Raises:
            ConfigurationError: an unknown `on_bad_image`, or `batch_size` or `stages` below 1.
            RegionStoreError: the store is read-only and absent, is damaged, or holds features of another kind.
        """
        super().__init__()
        if on_bad_image not in ("skip", "raise"):
            raise ConfigurationError(f'on_bad_image={on_bad_image!r}: should be "skip" or "raise"')
        if batch_size < 1:
            raise ConfigurationError(f"batch_size={batch_size}: should be 1 or more")
        if stages < 1:
            raise ConfigurationError(f"stages={stages}: should be 1 or more")
        self.name = f"image-regions-{model}"
        self.static_embeddings = True
        self.model = model
        self.image_size = image_size
        self.stages = stages
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        self.pretrained = pretrained
        self.model_arguments = dict(model_arguments or {})
        self.batch_size = batch_size
        self.on_bad_image = on_bad_image
        self._bad_keys: Recent[bytes, str] = Recent(_REMEMBERED)
        """Why the pictures with these content keys cannot be read: they are not tried again."""
        self._named: Recent[str, bool] = Recent(_REMEMBERED)
        """Pictures that a warning has named."""
        self._backbone: Backbone | None = None
        self._weights: Weights | None = None
        self._header: RegionHeader | None = None
        self._access: StoreAccess | None = None
        self._crop_access: StoreAccess | None = None
        self.read_only = read_only
        if store is not None:
            self.use_store(store, read_only=read_only)

    @property
    def embedding_length(self) -> int:
        """Dv. Builds the backbone where neither a store nor a model file has told it."""
        return self.header.dim

    @property
    def grid(self) -> tuple[int, int]:
        """(H, W) of the regions. Builds the backbone where neither a store nor a model file has told it."""
        return self.header.grid

    @property
    def header(self) -> RegionHeader:
        """All that the vectors depend on."""
        return self._header or self._built_backbone().header

    def use_store(self, store: str | Path, *, read_only: bool = False) -> None:
        """Take vectors from a store from now on, e.g. on a machine to which a saved tagger was moved.

        Args:
            store: folder of a `RegionStore`; made when the first picture is added, if it does not exist. The vectors of
                crops are in its folder `crops`, a store too.
            read_only: add nothing to it.

        Raises:
            RegionStoreError: it is read-only and absent, is damaged, or holds features of another kind.
        """
        access = StoreAccess(Path(store), read_only=read_only)
        if access.store is not None:
            self._agree(access.store.header, f"the region store {store}")
        self._access, self._crop_access, self.read_only = access, None, read_only

    def prefetch(self, sentences: Sequence[Sentence]) -> None:
        """Begins to read from disk, in the background, what `regions` of these sentences will take from the store.

        Changes no result and raises nothing: `regions` meets again whatever goes wrong. Only for pictures that are
        files; the key of any other costs as much as the picture.
        """
        if self._access is not None and self._access.store is not None:
            sources = (source for sentence in sentences for source in sentence_images(sentence))
            files = [source for source in sources if isinstance(source, str | Path)]
            in_background(partial(_warm, self._access.store, files))

    def regions(self, sentences: Sequence[Sentence]) -> ImageFeatures:
        """Return the pictures of B sentences; no vector is put on the sentences.

        A picture that several sentences share is read and computed once. Where one cannot be read, the reason stands in
        the sentence's metadata under `"image_error"` afterwards, and nowhere where it can. A batch is as wide as its
        post with most pictures, those left out that cannot be read and come last.

        Raises:
            BadImageError: a picture cannot be read and `on_bad_image` is `"raise"`.
            ConfigurationError: the backbone is needed and cannot be built.
            RegionStoreError: the store cannot be read or added to.
        """
        pictures = list(map(sentence_images, sentences))
        posts = list(map(self._keys, sentences, pictures))
        sources = _by_key(pictures, posts)
        wanted = list(sources)
        rows = np.empty((len(wanted) + 1, *self.header.shape), dtype=np.float16)
        rows[-1] = 0  # stands for no picture
        reasons: dict[bytes, str] = {}

        def compute(chunk: Sequence[bytes]) -> dict[bytes, np.ndarray]:
            return self._computed({key: sources[key] for key in chunk}, reasons)

        usable = fill_rows(rows[:-1], wanted, compute, access=self._access, header=self.header, at_once=self.batch_size)
        places: dict[bytes | None, int] = {key: place for place, key in enumerate(wanted) if usable[place]}
        self._ignore_unreadable(sentences, posts, places, reasons)
        last = (count for keys in posts for count, key in enumerate(keys, start=1) if key in places)
        most = max(last, default=1)  # K
        in_order = [places.get(key, len(wanted)) for keys in posts for key in islice(chain(keys, repeat(None)), most)]
        # Where every sentence has a picture of its own, the rows stand in place already.
        batch = torch.from_numpy(rows[:-1] if in_order == list(range(len(wanted))) else rows[in_order])  # (B*K,1+R,Dv)
        batch = batch.to(flair.device, non_blocking=True)
        present = [place < len(wanted) for place in in_order]
        return _features(batch, torch.tensor(present, dtype=torch.bool).view(-1, most), self.header.grid)

    def crops(
        self,
        sentences: Sequence[Sentence],
        boxes: Sequence[Sequence[Box | None]],
        images: Sequence[Sequence[int]] | None = None,
    ) -> tuple[torch.Tensor, list[list[bool]]]:
        """Pooled vectors of parts of the pictures of B sentences, each squashed to the backbone's square.

        A part that several sentences share is computed once. Pictures that cannot be read are treated as by `regions`.

        Args:
            sentences: the batch.
            boxes: O boxes for each sentence; None for no part.
            images: for each box, which of the sentence's pictures it is a part of, from 0; by default the first.

        Returns:
            The vectors (B,O,Dv), zero where there is no part or no readable picture, and where there is one, B lists of
            O.

        Raises:
            BadImageError, ConfigurationError, RegionStoreError: as `regions`.
        """
        pictures = [
            sentence_images(sentence) if any(row) else [] for sentence, row in zip(sentences, boxes, strict=True)
        ]
        posts = list(map(self._keys, sentences, pictures))
        sources = _by_key(pictures, posts)
        images = images or [[0] * len(row) for row in boxes]
        parts = [list(map(partial(_part, keys), *row)) for keys, *row in zip(posts, boxes, images, strict=True)]
        # Those of a picture follow one another: it is decoded once.
        in_order = (part for row in parts for part in sorted(filter(None, row), key=attrgetter("picture")))
        wanted = {part.key: part for part in in_order}
        rows = np.zeros((len(wanted) + 1, 1, self.header.dim), dtype=np.float16)
        reasons: dict[bytes, str] = {}

        def compute(chunk: Sequence[bytes]) -> dict[bytes, np.ndarray]:
            size = self._built_backbone().image_size
            squares, errors = crop_pixels((wanted[key] for key in chunk), sources, size)
            for picture, error in errors.items():
                self._remember_bad(picture, error, reasons)
            return {key: grid[:1] for key, grid in self._encoded(squares).items()}

        header = crop_header(self.header)
        usable = fill_rows(
            rows[:-1], list(wanted), compute, access=self._crops_store(), header=header, at_once=self.batch_size
        )
        self._ignore_unreadable(sentences, posts, sources.keys() - reasons.keys(), reasons)
        places = {key: place for place, key in enumerate(wanted) if usable[place]}
        chosen = [[len(wanted) if part is None else places.get(part.key, len(wanted)) for part in row] for row in parts]
        vectors = torch.from_numpy(rows[:, 0][np.array(chosen, dtype=int)])  # (B,O,Dv)
        present = [[place < len(wanted) for place in row] for row in chosen]
        return vectors.to(flair.device, non_blocking=True).float(), present

    def backbone_state(self) -> Weights:
        """Return the backbone's weights on the CPU, for a model file that must work without timm's.

        Build it if needed.
        """
        return {name: tensor.detach().cpu() for name, tensor in self._built_backbone().model.state_dict().items()}

    def load_backbone_state(self, state: Weights) -> None:
        """Take the backbone's weights from `backbone_state`, when it is first needed, in place of any other source."""
        self._weights = dict(state)
        self._backbone = None

    def to_params(self) -> dict[str, Any]:
        """Plain values from which `from_params` makes the same embeddings; weights are named and fingerprinted only."""
        return {
            "model": self.model,
            "image_size": self.image_size,
            "stages": self.stages,
            "checkpoint": self.checkpoint,
            "pretrained": self.pretrained,
            "model_arguments": self.model_arguments,
            "batch_size": self.batch_size,
            "on_bad_image": self.on_bad_image,
            "store": None if self._access is None else str(self._access.folder.absolute()),
            "header": self.header.to_dict(),
        }

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> "ImageRegionEmbeddings":
        """Return the embeddings that `to_params` described.

        Their store is opened read-only: loading a model writes nowhere. Where it cannot be opened, the backbone
        takes its place, with one warning.

        Raises:
            ConfigurationError: the header is damaged or of a newer format, or the store is no path.
            RegionStoreError: the store holds features of another kind by now.
        """
        arguments = {name: value for name, value in params.items() if name not in ("__cls__", "header", "store")}
        embeddings = cls(**arguments)
        try:
            embeddings._header = RegionHeader.from_dict(params["header"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"the saved header of {embeddings.name} is damaged: {error}") from error
        if (store := params.get("store")) is not None:
            if not isinstance(store, str) or not store.isprintable():  # control characters are for no terminal
                raise ConfigurationError(f"the saved store of {embeddings.name} is no path: {store!r:.60}")
            try:
                RegionStore(store)
            except RegionStoreError as error:
                log.warning("%s. Pictures will be computed, see use_store()", error)
            else:
                embeddings.use_store(store, read_only=True)
        return embeddings

    def extra_repr(self) -> str:
        """Return what `print(tagger)` shows."""
        return f"{self.model}, store={None if self._access is None else self._access.folder}"

    def _add_embeddings_internal(self, sentences: list[Sentence]) -> None:
        for sentence, vector in zip(sentences, self.regions(sentences).pooled, strict=True):
            sentence.set_embedding(self.name, vector)

    def _keys(self, sentence: Sentence, pictures: Sequence[ImageSource]) -> list[bytes | None]:
        """Return the content key of each of a sentence's pictures, None of one that is of no use."""
        remove_metadata(sentence, IMAGE_ERROR)  # of an earlier call: the file may have been mended
        return [self._key(sentence, place, source) for place, source in enumerate(pictures)]

    def _key(self, sentence: Sentence, place: int, source: ImageSource) -> bytes | None:
        try:
            key = content_key(source)
        except BadImageError as error:
            if self.on_bad_image == "raise":
                raise
            self._ignore(sentence, place, error.source, error.reason)
            return None
        reason = self._bad_keys.get(key)
        if reason is not None:
            self._ignore(sentence, place, describe_source(source), reason)
            return None
        return key

    def _computed(self, sources: Mapping[bytes, ImageSource], reasons: dict[bytes, str]) -> dict[bytes, np.ndarray]:
        """Return the features of the pictures that can be read; why the others cannot is added to `reasons`."""
        squares = {}
        size = self._built_backbone().image_size
        for key, source in sources.items():
            try:
                squares[key] = squashed_pixels(source, size)
            except BadImageError as error:
                self._remember_bad(key, error, reasons)
        return self._encoded(squares)

    def _encoded(self, squares: Mapping[bytes, np.ndarray]) -> dict[bytes, np.ndarray]:
        """Return the features (1+R,Dv) of squares of pixels."""
        if not squares:
            return {}
        pixels = torch.from_numpy(np.stack(list(squares.values())))
        encoded = self._built_backbone().encode(pixels, flair.device).cpu().numpy()
        return dict(zip(squares, encoded, strict=True))

    def _remember_bad(self, key: bytes, error: BadImageError, reasons: dict[bytes, str]) -> None:
        """Note why a picture cannot be read: the reason alone, as an error holds on to the bytes it was raised over."""
        if self.on_bad_image == "raise":
            try:
                raise error
            finally:
                del error  # a frame that holds what it has raised is a circle
        reasons[key] = error.reason
        self._bad_keys.put(key, error.reason)

    def _crops_store(self) -> StoreAccess | None:
        """Return the store of crops, opened when crops are first asked for; one that is only read may lack it."""
        if self._access is None:
            return None
        folder = self._access.folder / CROP_FOLDER
        if self._crop_access is None and (RegionStore.exists(folder) or not self.read_only):
            self._crop_access = StoreAccess(folder, read_only=self.read_only, header=crop_header(self.header))
        return self._crop_access

    def _ignore_unreadable(
        self,
        sentences: Sequence[Sentence],
        posts: Sequence[Sequence[bytes | None]],
        readable: Collection[bytes | None],
        reasons: Mapping[bytes, str],
    ) -> None:
        """Leave sentences without those of their pictures, given by key, that are not among the readable ones."""
        if not reasons:
            return
        for sentence, keys in zip(sentences, posts, strict=True):
            for place, key in enumerate(keys):
                if key is not None and key not in readable:
                    self._ignore(sentence, place, describe_source(sentence_images(sentence)[place]), reasons[key])

    def _ignore(self, sentence: Sentence, place: int, image: str, reason: str) -> None:
        """Leave a sentence without one of its pictures, and say why."""
        if self.on_bad_image == "raise":
            raise BadImageError(image, reason)
        is_only_one = len(sentence_images(sentence)) == 1
        sentence.add_metadata(IMAGE_ERROR, reason if is_only_one else {**image_errors(sentence), place: reason})
        if self._named.put(image, True):
            log.warning("Ignoring unreadable image: %s: %s", printable(image), reason)

    def _built_backbone(self) -> Backbone:
        with _building.held():
            return self._backbone or self._build_backbone()

    def _build_backbone(self) -> Backbone:
        weights, source = self._weights, "the model file's backbone"
        if weights is None and self.checkpoint is not None:
            weights, source = read_weights(self.checkpoint), self.checkpoint
        backbone = Backbone(
            self.model,
            image_size=self._header.image_size if self._header is not None else self.image_size,
            stages=self.stages,
            pretrained=self.pretrained,
            weights=weights,
            weights_source=source,
            model_arguments=self.model_arguments,
        )
        self._agree(backbone.header, f"the backbone {self.model} built here")
        self._backbone, self._weights = backbone, None
        return backbone

    def _agree(self, header: RegionHeader, owner: str) -> None:
        """Take `header` for what the vectors depend on, unless that is known already and is something else."""
        ours = self._header or replace(
            header,
            model=self.model,
            model_arguments=plain_arguments(self.model_arguments),
            image_size=self.image_size or header.image_size,
            stages=self.stages,
        )
        differences = ours.differences(header, here="these embeddings", there=owner)
        if differences:
            raise RegionStoreError(f"the vectors of {owner} are of another kind: {differences}")
        self._header = header


def _by_key(
    pictures: Sequence[Sequence[ImageSource]], posts: Sequence[Sequence[bytes | None]]
) -> dict[bytes, ImageSource]:
    """Return the pictures of posts by their keys, those that have one."""
    return {
        key: source
        for sources, keys in zip(pictures, posts, strict=True)
        for source, key in zip(sources, keys, strict=True)
        if key is not None
    }


def _part(keys: Sequence[bytes | None], box: Box | None, image: int) -> Crop | None:
    """Return a part of one of a post's pictures, None where it is not there."""
    key = keys[image] if image < len(keys) else None
    return None if box is None or key is None else Crop(key, box)


def _features(batch: torch.Tensor, present: torch.Tensor, grid: tuple[int, int]) -> ImageFeatures:
    """Return what a network reads of B posts with K pictures each.

    Args:
        batch: float16 (B*K,1+R,Dv), post by post; zero where there is no picture.
        present: which there are, bool (B,K), on the CPU.
        grid: (H,W) of the regions.
    """
    slots, count = present.to(batch.device, non_blocking=True), int(present.any(dim=1).sum())
    if present.shape[1] == 1:
        return ImageFeatures(batch[:, 1:].float(), batch[:, 0].float(), slots[:, 0], grid, count)
    pictures = batch.unflatten(0, present.shape)  # (B,K,1+R,Dv)
    mean = pictures[:, :, 0].float().sum(dim=1) / slots.sum(dim=1, keepdim=True).clamp(min=1)
    regions = pictures[:, :, 1:].float().flatten(1, 2)
    return ImageFeatures(regions, mean, slots.any(dim=1), grid, count, several=slots)


def _warm(store: RegionStore, files: Sequence[str | Path]) -> None:
    for file in files:
        with suppress(BadImageError, RegionStoreError):
            store.warm(content_key(file))
