import json

from flair_espvr.data.formats.convert import convert_posts


def test_tasks_have_the_text_and_its_entities(tmp_path):
    posts = [
        {"id": 7, "text": "I'm in  New York!", "image": "7.jpg", "entities": [{"start": 8, "end": 16, "type": "LOC"}]},
        {"tokens": ["Zoë", "in", "New", "York"], "entities": [{"start": 0, "end": 1, "type": "PER"},
                                                             {"start": 2, "end": 4, "type": "LOC"}]},
        {"text": ""},
    ]  # fmt: skip
    (tmp_path / "posts").write_text("".join(json.dumps(post) + "\n" for post in posts))
    done = convert_posts(tmp_path / "posts", tmp_path / "out", source_format="jsonl", target_format="label-studio")
    tasks = json.loads((tmp_path / "out").read_text())
    assert done.posts == 3
    assert [task["data"] for task in tasks] == [
        {"id": 7, "text": "I'm in  New York!", "image": "7.jpg"},
        {"text": "Zoë in New York"},
        {"text": ""},
    ]
    results = [task["annotations"][0]["result"] for task in tasks]
    found = [[(each["value"]["text"], each["value"]["labels"]) for each in result] for result in results]
    assert found == [[("New York", ["LOC"])], [("Zoë", ["PER"]), ("New York", ["LOC"])], []]
    for task, result in zip(tasks, results, strict=True):
        for each in result:
            value = each["value"]
            assert task["data"]["text"][value["start"] : value["end"]] == value["text"]
            assert (each["from_name"], each["to_name"], each["type"]) == ("label", "text", "labels")


def test_no_posts_are_no_tasks(tmp_path):
    (tmp_path / "posts").touch()
    convert_posts(tmp_path / "posts", tmp_path / "out", source_format="jsonl", target_format="label-studio")
    assert json.loads((tmp_path / "out").read_text()) == []
