import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest

from flair_espvr.report.summary import COLOURS, Summary

TEMPLATES = files("flair_espvr.report").joinpath("templates")
LIGHT, DARK, CARD = (
    TEMPLATES.joinpath(f"{name}.css").read_text(encoding="utf-8") for name in ("light", "dark", "card")
)
TYPE_COLOURS = re.findall(r"\.type-\d \{ --type: var\((--\w+)\)", CARD)


# How linear RGB looks without one kind of cone: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), severity 1.0.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def rgb(theme: str, name: str) -> list[int]:
    value = re.search(rf"{name}: #(\w{{6}})", theme)[1]
    return list(bytes.fromhex(value))


def contrast(one: list[float], other: list[float]) -> float:
    """The contrast ratio of WCAG 2.2."""
    darker, lighter = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def linear(colour: list[float]) -> np.ndarray:
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def oklab(light: np.ndarray) -> np.ndarray:
    """Linear RGB as Ottosson's OKLab (2020), in which distances are as they look."""
    cones = [
        [0.41222147, 0.53633254, 0.05144599],
        [0.21190350, 0.68069955, 0.10739696],
        [0.08830246, 0.28171884, 0.62997870],
    ]
    axes = [
        [0.21045426, 0.79361779, -0.00407205],
        [1.97799850, -2.42859221, 0.45059371],
        [0.02590404, 0.78277177, -0.80867577],
    ]
    return np.array(axes) @ np.cbrt(np.array(cones) @ light.clip(0, 1))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", TYPE_COLOURS)
def test_a_type_is_readable_on_its_tint_and_a_number_on_its_type(theme: str, name: str) -> None:
    colour, paper = rgb(theme, name), rgb(theme, "--paper")
    tint = int(re.search(r"--tint: (\d+)%", theme)[1]) / 100
    background = [tint * one + (1 - tint) * other for one, other in zip(colour, paper, strict=True)]
    assert contrast(colour, background) >= 4.5
    assert contrast(colour, rgb(theme, "--on-type")) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_are_readable(theme: str) -> None:
    for ink in ("--ink", "--soft", "--good", "--bad"):
        assert contrast(rgb(theme, ink), rgb(theme, "--paper")) >= 4.5
    assert contrast(rgb(theme, "--soft"), rgb(theme, "--ground")) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_the_usual_types_stay_apart_for_the_colour_blind(theme: str, sight: str) -> None:
    seen = [oklab(np.array(SIGHT[sight]) @ linear(rgb(theme, name))) for name in TYPE_COLOURS[:4]]
    # 0.02 is just noticeable side by side; these are told apart across a page.
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 0.08


def test_the_style_sheet_has_as_many_colours_as_types_are_given() -> None:
    assert len(set(TYPE_COLOURS)) == COLOURS


def test_usual_types_keep_their_colours_and_others_come_round() -> None:
    summary = Summary()
    strangers = [f"type {number}" for number in range(2 * COLOURS)]
    given = [summary.colour(name) for name in strangers]
    assert [summary.colour(name) for name in strangers] == given
    assert set(given) == set(range(COLOURS))
    assert [summary.colour(name) for name in ("PER", "LOC", "ORG", "MISC")] == [0, 1, 2, 3]
    assert len({*given[:4], 0, 1, 2, 3}) == COLOURS
    styles = [summary.classes(name) for name in ("PER", "LOC", "ORG", "MISC", *strangers)]
    assert len(set(styles)) == len(styles)
    assert styles[7:9] == ["type-7", "type-0 again-1"]
