"""What lies behind a subject: a ground of one of six kinds, and clutter on top of it."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from synthetic.chance import pick
from synthetic.drawing.canvas import Canvas, Colour, muted, shade


def background(rng: np.random.Generator, side: int, *, clutter: int) -> Image.Image:
    """Return an RGB picture with nothing in it to name.

    Args:
        rng: decides everything.
        side: width and height in pixels.
        clutter: how many small shapes lie on the ground.
    """
    ground = pick(rng, GROUNDS)(rng, side)
    for _ in range(clutter):
        shape = Canvas(max(4, round(side * rng.uniform(0.03, 0.13))))
        pick(rng, SHAPES)(shape, muted(rng))
        piece = shape.image(turn=rng.uniform(0, 360))
        corner = (int(rng.integers(-piece.width // 2, side)), int(rng.integers(-piece.height // 2, side)))
        ground.paste(piece, corner, piece)
    return ground


def _gradient(rng: np.random.Generator, side: int) -> Image.Image:
    """Return a smooth change from one colour to another, in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    return _blend(rows * math.sin(angle) + columns * math.cos(angle), muted(rng), muted(rng))


def _clouds(rng: np.random.Generator, side: int) -> Image.Image:
    """Blotches of two colours at three sizes."""
    height = np.zeros((side, side))
    for cells in (4, 9, 24):
        coarse = Image.fromarray(rng.random((cells, cells)).astype(np.float32), mode="F")
        height += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)) / cells**0.6
    return _blend(height, muted(rng), muted(rng))


def _hills(rng: np.random.Generator, side: int) -> Image.Image:
    """Three soft ridges under a pale sky."""
    canvas = _filled(side, shade(muted(rng), 1.15))
    across = np.linspace(0, 1, 40)
    for horizon in (0.45, 0.62, 0.8):
        waves = rng.uniform(0.02, 0.06) * np.sin(across * rng.uniform(4, 11) + rng.uniform(0, 6))
        ridge = list(zip(across.tolist(), (horizon + waves).tolist(), strict=True))
        canvas.polygon([*ridge, (1.0, 1.0), (0.0, 1.0)], muted(rng))
    return canvas.image().convert("RGB")


def _bricks(rng: np.random.Generator, side: int) -> Image.Image:
    """Return a wall, each brick a little different."""
    brick = muted(rng)
    canvas = _filled(side, shade(brick, 0.7))
    height = rng.uniform(0.06, 0.12)
    for row in range(math.ceil(1 / height)):
        for left in np.arange(-(row % 2) * height, 1, 2 * height).tolist():
            top = row * height
            right, bottom = left + 1.9 * height, top + 0.9 * height
            canvas.rectangle(left, top, right, bottom, shade(brick, rng.uniform(0.85, 1.1)))
    return canvas.image().convert("RGB")


def _stripes(rng: np.random.Generator, side: int) -> Image.Image:
    """Slanted stripes of three colours."""
    colours = (muted(rng), muted(rng), muted(rng))
    canvas = _filled(side, colours[0])
    width, slant = rng.uniform(0.05, 0.14), rng.uniform(-0.6, 0.6)
    for stripe, left in enumerate(np.arange(-0.7, 1.7, width).tolist()):
        right = left + width
        canvas.polygon([(left, 0), (right, 0), (right + slant, 1), (left + slant, 1)], colours[stripe % 3])
    return canvas.image().convert("RGB")


def _patchwork(rng: np.random.Generator, side: int) -> Image.Image:
    """Square patches in shades of two colours."""
    canvas = _filled(side, muted(rng))
    colours = (muted(rng), muted(rng))
    patches = int(rng.integers(4, 10))
    for row in range(patches):
        for column in range(patches):
            patch = shade(pick(rng, colours), rng.uniform(0.8, 1.1))
            left, top = column / patches, row / patches
            canvas.rectangle(left, top, left + 0.97 / patches, top + 0.97 / patches, patch)
    return canvas.image().convert("RGB")


def _filled(side: int, colour: Colour) -> Canvas:
    canvas = Canvas(side)
    canvas.rectangle(0, 0, 1, 1, colour)
    return canvas


def _blend(height: np.ndarray, low: Colour, high: Colour) -> Image.Image:
    """Return an RGB picture that is `low` where `height` (rows, columns) is least and `high` where it is most."""
    share = (height - height.min()) / np.ptp(height)
    mixed = (1 - share[..., None]) * np.array(low) + share[..., None] * np.array(high)
    return Image.fromarray(mixed.astype(np.uint8))


def _disc(canvas: Canvas, colour: Colour) -> None:
    canvas.disc(0.5, 0.5, 0.45, colour)


def _triangle(canvas: Canvas, colour: Colour) -> None:
    canvas.polygon([(0.5, 0.05), (0.95, 0.9), (0.05, 0.9)], colour)


def _square(canvas: Canvas, colour: Colour) -> None:
    canvas.rectangle(0.1, 0.1, 0.9, 0.9, colour, radius=0.12)


def _cross(canvas: Canvas, colour: Colour) -> None:
    canvas.line([(0.2, 0.2), (0.8, 0.8)], colour, 0.2)
    canvas.line([(0.8, 0.2), (0.2, 0.8)], colour, 0.2)


def _squiggle(canvas: Canvas, colour: Colour) -> None:
    across = np.linspace(0.08, 0.92, 24)
    wave = 0.5 + 0.18 * np.sin(across * 14)
    canvas.line(list(zip(across.tolist(), wave.tolist(), strict=True)), colour, 0.1)


def _leaf(canvas: Canvas, colour: Colour) -> None:
    canvas.ellipse(0.3, 0.05, 0.7, 0.95, colour)
    canvas.line([(0.5, 0.1), (0.5, 0.9)], shade(colour, 0.8), 0.04)


def _ring(canvas: Canvas, colour: Colour) -> None:
    canvas.arc(0.5, 0.5, 0.45, colour, start=0, end=360, width=0.16)


def _puff(canvas: Canvas, colour: Colour) -> None:
    for x, y, radius in ((0.3, 0.58, 0.2), (0.52, 0.45, 0.26), (0.74, 0.58, 0.19)):
        canvas.disc(x, y, radius, colour)
    canvas.rectangle(0.28, 0.58, 0.76, 0.78, colour, radius=0.1)


GROUNDS: tuple[Callable[[np.random.Generator, int], Image.Image], ...] = (
    _gradient,
    _clouds,
    _hills,
    _bricks,
    _stripes,
    _patchwork,
)
SHAPES: tuple[Callable[[Canvas, Colour], None], ...] = (
    _disc,
    _triangle,
    _square,
    _cross,
    _squiggle,
    _leaf,
    _ring,
    _puff,
)
