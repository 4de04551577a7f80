import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flair_espvr.report.heat import LEVELS, MOST_CELLS, heat_image


def opacity(relevance):
    return np.asarray(heat_image(relevance).convert("RGBA"))[..., 3].astype(int)


@settings(deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 37), st.integers(1, 37)), elements=st.floats(0, 1)))
def test_the_more_relevant_a_cell_the_less_shows_through(relevance):
    shown = opacity(relevance)
    assert shown.shape == relevance.shape
    order = relevance.ravel().argsort()
    assert (np.diff(shown.ravel()[order]) >= 0).all()
    assert len(np.unique(shown)) <= LEVELS


def test_nothing_is_coloured_where_nothing_is_relevant():
    assert not opacity(np.zeros((3, 3))).any()
    assert not opacity(np.full((3, 3), np.nan)).any()


def test_an_attention_is_shown_relative_to_its_largest_cell():
    attention = np.full((12, 12), 0.5 / 143)
    attention[4, 5] = 0.5
    shown = opacity(attention)
    assert shown[4, 5] == opacity([[1.0]])[0, 0] > 0
    assert shown[0, 0] == 0


def test_a_fine_map_is_reduced():
    assert heat_image(np.ones((100, 200))).size == (MOST_CELLS, MOST_CELLS // 2)


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (24, 37)])
def test_colours_darken_as_they_get_stronger(shape):
    ramp = np.linspace(0, 1, shape[0] * shape[1]).reshape(shape)
    light = np.asarray(heat_image(ramp).convert("RGB")).astype(int).sum(axis=2).ravel()
    assert (np.diff(light) <= 0).all()
