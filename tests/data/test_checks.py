from collections import Counter
from dataclasses import replace

from flair_espvr.data import Post, read_posts
from flair_espvr.data.checks import check_splits


def post(image_id, text, *tags, line=1):
    words = tuple(text.split())
    return Post(image_id, words, tags or ("O",) * len(words), line)


def places(groups):
    return [[(place.split, place.image_id) for place in group] for group in groups]


def test_a_clean_corpus_is_clean():
    report = check_splits({"train": [post("1", "New York", "B-LOC", "I-LOC")], "test": [post("2", "Paris", "B-LOC")]})
    assert report.clean
    assert report.posts == {"train": 1, "test": 1}


def test_leakage_is_found_by_picture_and_by_text():
    report = check_splits(
        {
            "train": [post("1", "Hello World http://t.co/a"), post("2", "one")],
            "test": [post("3", "hello world http://t.co/b"), post("2", "two")],
        }
    )
    assert places(report.shared_image_ids) == [[("train", "2"), ("test", "2")]]
    assert places(report.shared_texts) == [[("train", "1"), ("test", "3")]]
    assert not report.repeated_texts
    assert not report.clean


def test_texts_repeated_in_one_split_are_found():
    report = check_splits({"train": [post("1", "hello"), post("2", "hello")], "test": [post("3", "bye")]})
    assert places(report.repeated_texts) == [[("train", "1"), ("train", "2")]]
    assert not report.shared_texts


def test_contradicting_labels_are_found_wherever_the_links_stand():
    report = check_splits(
        {
            "train": [post("1", "http://a Paris", "O", "B-LOC"), post("2", "Paris http://b", "B-LOC", "O")],
            "test": [post("3", "Rome", "B-LOC"), post("4", "Rome", "B-PER")],
        }
    )
    assert places(report.contradicting_labels) == [[("test", "3"), ("test", "4")]]


def test_posts_of_links_only_are_not_the_same():
    assert check_splits({"train": [post("1", "http://a")], "test": [post("2", "http://b")]}).clean


def test_invalid_tags_are_found_with_their_place():
    report = check_splits({"train": [post("1", "a b c", "I-PER", "O", "I-LOC", line=7)]})
    assert [str(place) for place in report.invalid_tags] == ["train line 7 (1)"] * 2
    assert "invalid tags by split: train 2" in str(report)


def test_the_report_shows_a_few_examples_and_all_counts():
    report = str(check_splits({split: [post(str(i), str(i)) for i in range(9)] for split in ("train", "test")}))
    assert "texts in several splits: 9\n    train line 1 (0) = test line 1 (0)\n" in report
    assert report.count("    and 4 more (--all shows them)") == 2


def test_the_published_files(real_corpus):
    report = check_splits({split: read_posts(real_corpus / f"{split}.txt") for split in ("train", "valid", "test")})
    invalid = {"twitter2015": {"train": 186, "valid": 53, "test": 135}, "twitter2017": {}}[real_corpus.name]
    assert Counter(place.split for place in report.invalid_tags) == invalid
    assert not report.shared_image_ids


def test_types_and_lengths_are_counted_by_split_and_unseen_types_are_found():
    report = check_splits(
        {"train": [post("1", "New York", "B-LOC", "I-LOC")], "test": [post("2", "so Kevin sings", "O", "B-PER", "O")]}
    )
    assert report.types == {"LOC": {"train": 1, "test": 0}, "PER": {"train": 0, "test": 1}}
    assert report.unseen_types == ["PER (test 1)"]
    assert (report.longest[0], report.longest[1].image_id) == (3, "2")
    assert not report.clean
    assert "types that train does not have: 1\n    PER (test 1)" in str(report)


def test_pictures_are_missing_where_they_are_named_or_where_others_have_one():
    named = replace(post("1", "one"), image="1.png")
    for there, missing in ((set(), ["1"]), ({"2"}, ["1", "3"]), ({"1", "2", "3"}, [])):
        report = check_splits(
            {"train": [named, post("2", "two"), post("3", "three")]},
            pictures_there=lambda one, there=there: one.image_id in there,
        )
        assert [place.image_id for place in report.missing_pictures] == missing
        assert report.clean == (not missing)


def test_a_post_with_one_of_its_pictures_has_a_picture_and_lacks_one():
    several = replace(post("1", "one"), image=("1.png", "2.png"))
    report = check_splits({"train": [several]}, pictures_there=lambda _: 1)
    assert (report.pictures, len(report.missing_pictures)) == ({"train": 1}, 1)
    assert not check_splits({"train": [several]}, pictures_there=lambda _: 2).missing_pictures


def test_posts_without_a_name_share_no_picture():
    nameless = [replace(post("1", text), record={"text": text}) for text in ("one", "two")]
    assert check_splits({"train": nameless[:1], "test": nameless[1:]}).clean
