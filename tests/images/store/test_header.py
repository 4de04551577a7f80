from dataclasses import replace

import pytest

from flair_espvr.images.store.header import RegionHeader

HEADER = RegionHeader(
    model="resnet18",
    model_arguments={"depths": [1, 2]},
    fingerprint="ab" * 16,
    image_size=64,
    mean=(0.5, 0.5, 0.5),
    std=(0.2, 0.2, 0.2),
    grid=(2, 3),
    dim=4,
)


def test_the_plain_form_comes_back():
    assert RegionHeader.from_dict(HEADER.to_dict()) == HEADER
    assert HEADER.shape == (7, 4)


def test_what_is_older_than_stages_has_one():
    plain = HEADER.to_dict()
    del plain["stages"]
    assert RegionHeader.from_dict(plain) == HEADER


@pytest.mark.parametrize(
    "plain",
    [
        [],
        {},
        HEADER.to_dict() | {"version": 2},
        HEADER.to_dict() | {"surplus": 1},
        HEADER.to_dict() | {"grid": [0, 3]},
        HEADER.to_dict() | {"grid": [2, 3, 4]},
        HEADER.to_dict() | {"dim": "4"},
        HEADER.to_dict() | {"stages": 0},
    ],
)
def test_what_is_no_header_is_refused(plain):
    with pytest.raises(ValueError, match=r"version|fields|whole numbers"):
        RegionHeader.from_dict(plain)


def test_every_difference_is_named_with_both_values():
    other = replace(HEADER, image_size=128, fingerprint="cd" * 16)
    message = HEADER.differences(other, here="A", there="B")
    assert message.count(";") == 1
    for part in ("image_size is 64 in A but 128 in B", "ab" * 16, "cd" * 16):
        assert part in message
    assert HEADER.differences(replace(HEADER), here="A", there="B") == ""
