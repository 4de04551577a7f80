"""Things that people make and name: trophies, telephones, cars, guitars, rockets."""

import numpy as np

from synthetic.chance import pick
from synthetic.drawing.canvas import Canvas, from_hsv, shade, vivid

METALS = (from_hsv(0.13, 0.7, 0.92), from_hsv(0.6, 0.08, 0.8), from_hsv(0.07, 0.6, 0.72))  # gold, silver, bronze
GLASS = (196, 226, 242)
DARK = (48, 46, 54)
HULL = (240, 240, 246)


def trophy(canvas: Canvas, rng: np.random.Generator) -> None:
    metal = pick(rng, METALS)
    for x in (0.24, 0.76):
        canvas.arc(x, 0.26, 0.15, shade(metal, 0.85), start=0, end=360, width=0.05)
    canvas.rectangle(0.24, 0.06, 0.76, 0.2, metal, radius=0.02)
    canvas.half_disc(0.5, 0.19, 0.26, metal, start=0, end=180)
    canvas.ellipse(0.24, 0.03, 0.76, 0.12, shade(metal, 0.7))
    canvas.rectangle(0.32, 0.16, 0.38, 0.34, shade(metal, 1.25), radius=0.03)
    canvas.polygon([(0.45, 0.44), (0.55, 0.44), (0.6, 0.72), (0.4, 0.72)], shade(metal, 0.85))
    canvas.rectangle(0.3, 0.7, 0.7, 0.78, metal)
    canvas.rectangle(0.26, 0.78, 0.74, 0.96, DARK, radius=0.02)
    canvas.rectangle(0.38, 0.83, 0.62, 0.91, metal)


def telephone(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.rectangle(0.24, 0.02, 0.76, 0.98, shade(vivid(rng), 0.6), radius=0.08)
    canvas.rectangle(0.28, 0.09, 0.72, 0.88, (236, 240, 246), radius=0.02)
    for row in range(4):
        for column in range(3):
            left, top = 0.315 + column * 0.13, 0.2 + row * 0.16
            canvas.rectangle(left, top, left + 0.1, top + 0.1, vivid(rng), radius=0.025)
    canvas.rectangle(0.43, 0.05, 0.57, 0.065, DARK)
    canvas.disc(0.5, 0.93, 0.03, (220, 220, 226))


def car(canvas: Canvas, rng: np.random.Generator) -> None:
    paint = vivid(rng)
    roof = rng.uniform(0.26, 0.36)
    canvas.polygon([(0.2, 0.52), (0.32, roof), (0.66, roof), (0.82, 0.52)], paint)
    canvas.polygon([(0.26, 0.51), (0.35, roof + 0.04), (0.48, roof + 0.04), (0.48, 0.51)], GLASS)
    canvas.polygon([(0.52, 0.51), (0.52, roof + 0.04), (0.64, roof + 0.04), (0.75, 0.51)], GLASS)
    canvas.rectangle(0.02, 0.5, 0.98, 0.7, paint, radius=0.07)
    canvas.rectangle(0.02, 0.62, 0.98, 0.7, shade(paint, 0.7), radius=0.03)
    canvas.ellipse(0.91, 0.53, 0.98, 0.6, (255, 240, 170))
    for x in (0.24, 0.76):
        canvas.disc(x, 0.7, 0.115, DARK)
        canvas.disc(x, 0.7, 0.055, (206, 206, 212))


def guitar(canvas: Canvas, rng: np.random.Generator) -> None:
    wood = from_hsv(pick(rng, (0.07, 0.02, 0.1, 0.58)), rng.uniform(0.5, 0.85), rng.uniform(0.5, 0.9))
    neck = (92, 60, 40)
    canvas.disc(0.5, 0.76, 0.22, wood)
    canvas.disc(0.5, 0.53, 0.16, wood)
    canvas.disc(0.5, 0.62, 0.075, DARK)
    canvas.rectangle(0.465, 0.1, 0.535, 0.58, neck)
    canvas.rectangle(0.44, 0.02, 0.56, 0.13, shade(neck, 0.7), radius=0.02)
    canvas.rectangle(0.4, 0.8, 0.6, 0.84, DARK)
    for x in (0.48, 0.5, 0.52):
        canvas.line([(x, 0.06), (x, 0.82)], (236, 232, 220), 0.006)


def rocket(canvas: Canvas, rng: np.random.Generator) -> None:
    paint = vivid(rng)
    canvas.polygon([(0.4, 0.78), (0.5, 0.99), (0.6, 0.78)], (255, 170, 50))
    canvas.polygon([(0.45, 0.78), (0.5, 0.9), (0.55, 0.78)], (255, 236, 130))
    for side in (-1, 1):
        canvas.polygon([(0.5 + side * 0.1, 0.5), (0.5 + side * 0.3, 0.84), (0.5 + side * 0.1, 0.76)], paint)
    canvas.half_disc(0.61, 0.5, 0.3, HULL, start=110, end=250)
    canvas.half_disc(0.39, 0.5, 0.3, HULL, start=290, end=430)
    canvas.polygon([(0.44, 0.2), (0.5, 0.03), (0.56, 0.2)], paint)
    canvas.rectangle(0.42, 0.72, 0.58, 0.8, shade(paint, 0.6), radius=0.02)
    canvas.disc(0.5, 0.4, 0.085, shade(paint, 0.7))
    canvas.disc(0.5, 0.4, 0.058, GLASS)


DRAWINGS = (trophy, telephone, car, guitar, rocket)
