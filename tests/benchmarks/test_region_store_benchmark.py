import re
from functools import partial

import pytest

from benchmarks import measuring, region_store, store_costs
from flair_espvr.embeddings.image.backbone import Backbone


def cells(row):
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_works_take_turns_and_the_first_rounds_are_not_timed(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])

    def work(name, seconds):
        order.append(name)
        clock[0] += seconds + len(order)

    assert measuring.in_turns(2, partial(work, "a", 10), partial(work, "b", 20)) == [[13, 16], [24, 25]]
    assert order == ["b", "a", "a", "b", "b", "a"]


def test_a_spread_is_the_median_between_the_extremes():
    assert str(measuring.Spread.of([3.0, 1.0, 2.0, 10.0])) == "2.5 (1 to 10)"


def test_the_reading_part_prints_machine_and_table(capsys):
    region_store.main(["--parts", "reading", "--stored", "3", "--rounds", "1"])
    machine, blank, header, rule, row = capsys.readouterr().out.splitlines()
    assert re.search(r"\d+ cores .* \d+ threads, .*; \d{4}-\d\d-\d\d; Python .*lmdb \d", machine)
    assert blank == ""
    assert len(cells(header)) == len(cells(rule)) == len(cells(row)) == 4
    assert float(cells(row)[3]) > 0


def test_drawn_pictures_go_through_extraction(tmp_path, monkeypatch):
    monkeypatch.setattr(store_costs, "PICTURE_SIDE", 64)
    images = store_costs.draw_pictures(tmp_path / "pictures", 3)
    swin = {"window_size": 2, "embed_dim": 16, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
    backbone = Backbone("swin_tiny_patch4_window7_224", image_size=64, pretrained=False, model_arguments=swin)
    rates, *parts = store_costs.extraction(images, backbone, workers=0, rounds=1)
    assert cells(rates)[0].startswith("extracting 3 pictures")
    assert len(parts) == 5
    assert all(float(cells(row)[1].split()[0]) > 0 for row in [rates, *parts])


def test_an_epoch_is_trained_from_the_store_without_any_backbone(tmp_path, tiny_bert, monkeypatch):
    monkeypatch.setattr(store_costs, "BATCH", 2)
    epoch, inside, checksums = store_costs.training(tmp_path / "scenes", posts=3, rounds=2, encoder=str(tiny_bert))
    seconds, seconds_inside, of_checksums = (float(cells(row)[1].split()[0]) for row in (epoch, inside, checksums))
    assert 0 < of_checksums < seconds_inside < seconds


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit):
        region_store.main(["--parts", "writing"])
    assert "extraction" in capsys.readouterr().err
