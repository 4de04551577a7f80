from benchmarks.damage import DAMAGES
from benchmarks.picture_tables import damage_table, table
from benchmarks.systems import CONFIGURATIONS


def test_the_table_has_a_row_for_each_configuration_that_was_run():
    results = [
        {"configuration": "none", "seed": 1, "f1": 20.0},
        {"configuration": "none", "seed": 2, "f1": 30.0},
        {
            "configuration": "hard",
            "seed": 1,
            "f1": 70.0,
            "sentence": 80.0,
            "touching": 90.0,
            "entity": 81.0,
            "window": 40.0,
            "step": 0.25,
            "predict": 3.1,
            "parameters": 1.5,
            "memory": 2048.3,
        },
    ]
    lines = table(results).splitlines()
    assert lines[0].startswith("| pictures used | seeds | span-F1 | middle of b_c in the box |")  # none was told
    assert lines[2] == "| none | 2 | 25.0 ± 7.1 | - | - | - | - | - | - | - | - |"
    figures = "70.0 | 80.0 | 90.0 | 81.0 | 40.0 | 0.25 | 3.10 | 1.50 | 2048"
    assert lines[3] == f"| {CONFIGURATIONS['hard'].pictures} | 1 | {figures} |"
    assert len(lines) == 4


def test_falling_below_the_text_side_is_marked():
    def row(configuration, seed, whole, damaged, shuffled):
        scores = {damage: {"f1": shuffled if damage == "shuffled" else damaged} for damage in DAMAGES}
        return {"configuration": configuration, "seed": seed, "f1": whole, "damaged": scores}

    results = [
        row("none", 1, 50.0, 50.0, 50.0),
        row("none", 2, 52.0, 52.0, 52.0),
        row("all", 1, 90.0, 51.0, 40.0),
        row("all", 2, 92.0, 51.0, 43.0),
        row("centered", 1, 90.0, 40.0, 45.0),
        row("centered", 3, 90.0, 40.0, 45.0),
        row("umt", 1, 80.0, 60.0, 55.0),
        row("umt_gone", 1, 50.0, 50.0, 50.0),
        row("maf", 1, 80.0, 60.0, 55.0),
        {"configuration": "mgcmt", "seed": 1, "f1": 95.0},  # from before there was damage
    ]
    lines = damage_table(results, "f1").splitlines()
    assert lines[0].startswith("| span-F1, pictures in testing | seeds | whole | 25 % missing |")
    cells = {line.split(" | ")[0].removeprefix("| "): line.rstrip(" |").split(" | ")[1:] for line in lines[2:]}
    assert cells["none"] == ["2", *["51.0 ± 1.4"] * 7, "0.0 ± 0.0, 25 % missing"]
    assert cells["all regions"][1:3] == ["91.0 ± 1.4", "51.0 ± 0.0"]
    assert cells["all regions"][-2:] == ["51.0 ± 1.4", "**-9.5 ± 0.7, shuffled**"]
    assert cells["positioned, straight-through, centered"][-1] == "-10.0, 25 % missing"  # of one seed: no more is known
    assert cells["UMT"][-2:] == ["50.0", "5.0, shuffled"]
    assert cells["MAF"][-2:] == ["-", "-"]
    assert len(lines) == 2 + len(cells) == 8


def test_every_row_has_a_text_side():
    assert {row.text_side for row in CONFIGURATIONS.values()} <= CONFIGURATIONS.keys()
    assert all(CONFIGURATIONS[row.text_side].text_side == row.text_side for row in CONFIGURATIONS.values())
