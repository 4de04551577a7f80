import io

import numpy as np
import pytest
from flair.data import Sentence
from matplotlib.patches import Rectangle
from PIL import Image

from flair_espvr.data.region import Region
from flair_espvr.errors import BadImageError, ConfigurationError
from flair_espvr.report import entity_figure


@pytest.fixture
def tagged():
    sentence = Sentence("Kevin Durant enters Oracle Arena")
    sentence.add_metadata("image", Image.new("RGB", (80, 40), (200, 30, 30)))
    region = Region(0.25, 0.5, 0.75, 1.0, 0.8)
    sentence[0:2].add_label("predicted", "PER", 0.934, region=region, grounded=0.9, relevance=np.eye(12))
    sentence[0:2].add_label("gold", "PER", regions=(Region(0.0, 0.5, 0.5, 1.0),))
    sentence[3:5].add_label("predicted", "LOC", 0.5, grounded=0.12)
    return sentence


def boxes(panel):
    """Corner, size and line style of each box, drawn twice: an edge and what it stands out by."""
    patches = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    return [(*patch.get_xy(), patch.get_width(), patch.get_height(), patch.get_linestyle()) for patch in patches[1::2]]


def test_a_panel_for_each_entity_has_picture_map_box_and_gold_boxes(tagged):
    shown, absent = entity_figure(tagged, label_type="predicted", gold_label_type="gold").axes
    assert shown.get_title() == "Kevin Durant  PER 93%"
    assert absent.get_title() == "Oracle Arena  LOC 50%\nnot in the picture (12%)"
    assert boxes(shown) == [(0.25, 0.5, 0.5, 0.5, "-"), (0.0, 0.5, 0.5, 0.5, "--")]
    assert boxes(absent) == []
    assert [image.get_array().shape[:2] for image in shown.images] == [(40, 80), (12, 12)]
    assert all(image.get_extent() == [0, 1, 1, 0] for image in shown.images)
    (grey,) = [image.get_array() for image in absent.images]
    assert (grey[..., 0] == grey[..., 1]).all()


def test_a_figure_is_a_picture_of_the_pictures_shape(tagged):
    figure = entity_figure(tagged, label_type="predicted")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert Image.open(file).format == "PNG"
    corners = figure.axes[0].get_window_extent()
    assert corners.width / corners.height == pytest.approx(2.0, rel=0.02)


def test_a_post_without_an_entity_is_its_picture():
    sentence = Sentence("Nothing here")
    sentence.add_metadata("image", Image.new("L", (8, 8)))
    (panel,) = entity_figure(sentence).axes
    assert panel.get_title() == "no entity found"


def test_a_picture_there_must_be():
    with pytest.raises(ConfigurationError, match="'Nothing here' has no picture"):
        entity_figure(Sentence("Nothing here"))
    sentence = Sentence("Broken")
    sentence.add_metadata("image", b"junk")
    with pytest.raises(BadImageError):
        entity_figure(sentence)
