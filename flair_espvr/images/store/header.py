"""What a picture's features depend on: two sets of features may only be mixed where all of it is the same."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

FORMAT_VERSION = 1

MAX_VALUES = 64 * 1024 * 1024
"""Values a picture beyond which a header is not believed; Swin-Large gives 24 million at 4,000 pixels a side."""

MAX_IMAGE_SIZE = 4_096
"""Pixels a side beyond which a header is not believed; a picture is decoded to a square of that size."""

_TUPLES = ("grid", "mean", "std")


@dataclass(frozen=True)
class RegionHeader:
    """Where features come from and what shape they have.

    A picture's features are an array (1+R, Dv): the pooled vector b_0, then the R = H*W regions, row-major. Those of a
    crop are its pooled vector alone, (1, Dv).

    Attributes:
        model: the timm model's name, as its user gave it.
        model_arguments: further arguments of `timm.create_model`.
        fingerprint: hash of the weights, as hexadecimal digits.
        image_size: pixels a side of the square that a picture is squashed to.
        stages: 1 for what the model gives, more for the maps of its last stages; 1 in what is older than this field.
        mean: what is taken from red, green and blue, for levels in 0..1.
        std: what they are then divided by.
        grid: (H, W) of the regions; (0, 0) for crops.
        dim: Dv, size of a feature vector.
        resize: how a picture becomes the square.
        dtype: number format of stored features.
        version: of the store's format.
    """

    model: str
    model_arguments: dict[str, Any]
    fingerprint: str
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grid: tuple[int, int]
    dim: int
    resize: str = "squash, bicubic"
    dtype: str = "float16"
    stages: int = 1
    version: int = FORMAT_VERSION

    @property
    def shape(self) -> tuple[int, int]:
        """(1+R, Dv), the shape of one picture's features."""
        return 1 + self.grid[0] * self.grid[1], self.dim

    def to_dict(self) -> dict[str, Any]:
        """Strings, numbers, lists and dictionaries only: fit for JSON and for a model file."""
        plain = dataclasses.asdict(self)
        return plain | {name: list(plain[name]) for name in _TUPLES}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "RegionHeader":
        """Return the header that `to_dict` described.

        Raises:
            ValueError: it describes none, or one of another format version.
        """
        if not isinstance(plain, Mapping) or plain.get("version") != FORMAT_VERSION:
            version = plain.get("version") if isinstance(plain, Mapping) else None
            raise ValueError(f"format version {version!r}, where this program reads version {FORMAT_VERSION}")
        plain = {"stages": 1, **plain}
        names = {field.name for field in dataclasses.fields(cls)}
        if set(plain) != names:
            raise ValueError(f"a header has the fields {sorted(names)}, not {sorted(plain)}")
        header = cls(**{**plain, **{name: tuple(plain[name]) for name in _TUPLES}})
        sizes = (header.dim, header.image_size, header.stages, *(() if header.grid == (0, 0) else header.grid))
        if len(header.grid) != 2 or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(
                f"grid {header.grid}, vector and image size and stages {sizes[:3]} should be positive whole numbers"
            )
        if header.image_size > MAX_IMAGE_SIZE:
            raise ValueError(
                f"pictures of {header.image_size:,} pixels a side, more than the limit of {MAX_IMAGE_SIZE:,}"
            )
        if prod(header.shape) > MAX_VALUES:
            raise ValueError(f"{prod(header.shape):,} values a picture, more than the limit of {MAX_VALUES:,}")
        return header

    def differences(self, other: "RegionHeader", *, here: str, there: str) -> str:
        """Return the fields that differ, with both values, or an empty string; the names tell the two headers apart."""
        return "; ".join(
            f"{field.name} is {mine!r} in {here} but {theirs!r} in {there}"
            for field in dataclasses.fields(self)
            if (mine := getattr(self, field.name)) != (theirs := getattr(other, field.name))
        )
