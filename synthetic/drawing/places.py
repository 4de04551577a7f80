"""Places: mountains, lighthouses, castles, bridges, islands."""

import numpy as np

from synthetic.chance import pick
from synthetic.drawing.canvas import Canvas, from_hsv, shade

SNOW = (248, 250, 255)
WINDOW = (255, 226, 130)


def mountain(canvas: Canvas, rng: np.random.Generator) -> None:
    rock = from_hsv(rng.uniform(0.55, 0.75), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.65))
    for x, height, width in ((rng.uniform(0.6, 0.72), 0.55, 0.3), (rng.uniform(0.34, 0.46), 0.85, 0.36)):
        top = 0.95 - height
        canvas.polygon([(x - width, 0.95), (x, top), (x + width, 0.95)], rock)
        canvas.polygon([(x, top), (x + width, 0.95), (x + 0.05, 0.95)], shade(rock, 0.75))
        cap, slope = 0.32 * height, width / height
        zigzag = [(0.5, 0.75), (0.15, 1.0), (-0.2, 0.7), (-0.55, 1.05)]
        edge = [(x + across * cap * slope, top + cap * down) for across, down in zigzag]
        canvas.polygon([(x, top), (x + cap * slope, top + cap), *edge, (x - cap * slope, top + cap)], SNOW)
        rock = shade(rock, 1.15)


def lighthouse(canvas: Canvas, rng: np.random.Generator) -> None:
    stripe = from_hsv(pick(rng, (0.0, 0.58, 0.33, 0.08)), 0.75, 0.8)
    canvas.ellipse(0.15, 0.84, 0.85, 1.0, (120, 112, 104))
    bands = 5
    for band in range(bands):
        upper, lower = 0.3 + band * 0.12, 0.3 + (band + 1) * 0.12
        spread_upper, spread_lower = 0.09 + band * 0.016, 0.09 + (band + 1) * 0.016
        corners = [(0.5 - spread_upper, upper), (0.5 + spread_upper, upper), (0.5 + spread_lower, lower)]
        canvas.polygon([*corners, (0.5 - spread_lower, lower)], stripe if band % 2 else SNOW)
    canvas.rectangle(0.36, 0.27, 0.64, 0.31, (60, 60, 70))
    canvas.rectangle(0.42, 0.16, 0.58, 0.27, WINDOW)
    canvas.polygon([(0.38, 0.16), (0.5, 0.03), (0.62, 0.16)], stripe)
    canvas.rectangle(0.46, 0.78, 0.54, 0.9, (70, 54, 46), radius=0.03)


def castle(canvas: Canvas, rng: np.random.Generator) -> None:
    stone = from_hsv(rng.uniform(0.05, 0.15), rng.uniform(0.1, 0.35), rng.uniform(0.6, 0.85))
    roof = from_hsv(pick(rng, (0.0, 0.6, 0.75, 0.45)), 0.6, 0.65)
    canvas.rectangle(0.2, 0.5, 0.8, 0.95, stone)
    for x in np.arange(0.22, 0.8, 0.12):
        canvas.rectangle(x, 0.44, x + 0.07, 0.52, stone)
    for x, top in ((0.08, 0.34), (0.74, 0.34), (0.4, 0.24)):
        canvas.rectangle(x, top, x + 0.2, 0.95, shade(stone, 0.88))
        canvas.polygon([(x - 0.03, top), (x + 0.1, top - 0.22), (x + 0.23, top)], roof)
        canvas.rectangle(x + 0.075, top + 0.08, x + 0.125, top + 0.2, (70, 60, 70), radius=0.02)
    canvas.rectangle(0.42, 0.7, 0.58, 0.95, (84, 60, 44), radius=0.06)


def bridge(canvas: Canvas, rng: np.random.Generator) -> None:
    steel = from_hsv(pick(rng, (0.02, 0.58, 0.4, 0.1)), rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.8))
    canvas.ellipse(0.0, 0.78, 1.0, 0.95, from_hsv(0.56, 0.5, 0.85))
    towers = (0.27, 0.73)
    for left, right, sag in ((-0.15, 0.27, 0.36), (0.27, 0.73, 0.4), (0.73, 1.15, 0.36)):
        across = np.linspace(0, 1, 14)
        cable = [(left + (right - left) * t, 0.2 + sag * 4 * t * (1 - t)) for t in across.tolist()]
        cable = [(x, y) for x, y in cable if 0.0 <= x <= 1.0]
        canvas.line(cable, steel, 0.022)
        for x, y in cable[1:-1]:
            canvas.line([(x, y), (x, 0.64)], shade(steel, 1.15), 0.009)
    for x in towers:
        canvas.rectangle(x - 0.035, 0.15, x + 0.035, 0.88, shade(steel, 0.85))
    canvas.rectangle(0.0, 0.62, 1.0, 0.69, shade(steel, 0.7))


def island(canvas: Canvas, rng: np.random.Generator) -> None:
    lean = rng.uniform(-0.12, 0.12)
    canvas.ellipse(0.02, 0.78, 0.98, 1.0, from_hsv(0.53, 0.55, 0.85))
    canvas.half_disc(0.5, 0.92, 0.36, (236, 208, 146), start=180, end=360)
    crown = (0.5 + lean, 0.25)
    canvas.line([(0.5, 0.62), (0.5 + lean * 0.35, 0.45), crown], (140, 98, 60), 0.055)
    leaf = from_hsv(rng.uniform(0.28, 0.4), 0.65, rng.uniform(0.5, 0.7))
    for reach, drop in ((-0.34, 0.1), (-0.24, -0.14), (0.02, -0.2), (0.26, -0.12), (0.34, 0.12)):
        bend = (crown[0] + reach * 0.55, crown[1] + drop * 0.5 - 0.07)
        canvas.line([crown, bend, (crown[0] + reach, crown[1] + drop)], leaf, 0.05)
        leaf = shade(leaf, 0.93)


DRAWINGS = (mountain, lighthouse, castle, bridge, island)
