import json

import pytest
from flair.data import Sentence
from PIL import Image

from flair_espvr.data import POSTS, MultimodalCorpus
from flair_espvr.data.metadata import metadata_or_none
from flair_espvr.errors import ConfigurationError
from flair_espvr.tagging import posts_from

POST = "IMGID:{}\nNew\tB-LOC\nYork\tI-LOC\n\u200b\tO\nrocks\tI-OTHER\n\n"


@pytest.fixture
def folder(tmp_path):
    for split, ids in {"train": range(10), "valid": [10, 11], "test": [12]}.items():
        (tmp_path / f"{split}.txt").write_text("".join(POST.format(image_id) for image_id in ids), encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "pictures" / "0.jpg", format="PNG")
    (tmp_path / "captions.tsv").write_text("0\ta city\n12\ta street\n")
    return tmp_path


def test_posts_become_sentences_with_spans(folder):
    sentence = MultimodalCorpus(folder, label_name_map={"OTHER": "MISC"}).train[3]
    assert [token.text for token in sentence] == ["New", "York", "\u200b", "rocks"]
    assert [(span.text, span.tag) for span in sentence.get_spans("ner")] == [("New York", "LOC"), ("rocks", "MISC")]
    assert sentence.get_metadata("image_id") == "3"


def test_pictures_and_captions_go_to_their_own_posts_only(folder):
    corpus = MultimodalCorpus(folder, images=folder / "pictures", captions=folder / "captions.tsv")
    sentences = [*corpus.train, *corpus.dev, *corpus.test]
    assert {s.get_metadata("image_id"): s.get_metadata("image") for s in sentences if s.has_metadata("image")} == {
        "0": str(folder / "pictures" / "0.jpg")
    }
    assert {s.get_metadata("image_id"): s.get_metadata("caption") for s in sentences if s.has_metadata("caption")} == {
        "0": "a city",
        "12": "a street",
    }


def test_what_was_read_is_counted_and_logged(folder, caplog):
    with caplog.at_level("INFO", logger="flair"):
        summary = MultimodalCorpus(folder, images=folder / "pictures", captions=folder / "captions.tsv").summary
    train = summary["train"]
    assert (train.posts, train.words, train.entities) == (10, 40, 20)
    assert (train.pictures, train.captions, train.invalid_tags) == (1, 1, 10)
    assert "10 posts, 40 words, 20 entities; 1 pictures, 9 missing; 1 captions, 9 missing; 10 I- tags" in caplog.text


def test_oddities_in_the_folder_of_pictures_are_reported(folder, caplog):
    (folder / "pictures" / "1.jpg").write_text("gone")
    Image.new("RGB", (2, 2)).save(folder / "pictures" / "0.png")
    MultimodalCorpus(folder, images=folder / "pictures")
    assert "1 image ids have several pictures, for instance 0" in caplog.text
    assert "1 files are no pictures, for instance 1.jpg" in caplog.text


def test_posts_without_words_are_left_out_and_counted(folder):
    (folder / "train.txt").write_text(POST.format(1) + "IMGID:2\n\n" + POST.format(3))
    corpus = MultimodalCorpus(folder)
    assert len(corpus.train) == 2
    assert corpus.summary["train"].without_words == 1


def test_it_is_a_flair_corpus(folder):
    corpus = MultimodalCorpus(folder, name="cities")
    assert str(corpus) == "cities: 10 train + 2 dev + 1 test sentences"
    assert set(corpus.make_label_dictionary("ner").get_items()) == {"LOC", "OTHER"}
    assert str(corpus.downsample(0.5)) == "cities: 5 train + 1 dev + 0 test sentences"
    assert all(isinstance(sentence, Sentence) and sentence.has_metadata("image_id") for sentence in corpus.train)


def test_files_of_a_split_are_found_in_order_of_preference(folder):
    (folder / "valid.txt").rename(folder / "dev.txt")
    (folder / "test.txt").unlink()
    record = json.dumps({"tokens": ["Oslo"], "entities": [{"start": 0, "end": 1, "type": "LOC"}]})
    for name in ("test.jsonl", "train.jsonl", "dev.jsonl"):
        (folder / name).write_text(record)
    corpus = MultimodalCorpus(folder)
    assert [path.name for path in corpus.files[:3]] == ["train.txt", "dev.txt", "test.jsonl"]
    assert (len(corpus.dev), corpus.test[0].to_original_text()) == (2, "Oslo")
    (folder / "valid.jsonl").write_text(record)
    assert [path.name for path in POSTS(folder).files[:3]] == ["train.jsonl", "valid.jsonl", "test.jsonl"]
    with pytest.raises(ConfigurationError, match=r"no dev file a\.txt or b\.txt; the folder has captions\.tsv, dev\."):
        MultimodalCorpus(folder, dev_file=["a.txt", "b.txt"])


def test_missing_splits_are_sampled_as_flair_does(folder):
    corpus = MultimodalCorpus(folder, dev_file=None, random_seed=1)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (9, 1, 1)
    corpus = MultimodalCorpus(folder, dev_file=None, sample_missing_splits=False)
    assert (len(corpus.train), corpus.dev) == (10, None)


def test_an_empty_split_and_a_split_without_entities_work(folder):
    (folder / "valid.txt").write_text("")
    (folder / "test.txt").write_text("IMGID:1\nhello\tO\n")
    corpus = MultimodalCorpus(folder)
    assert (len(corpus.dev), len(corpus.test)) == (0, 1)
    assert corpus.summary["test"].entities == 0


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_a_corpus_without_posts_is_refused(tmp_path, content):
    (tmp_path / "train.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"train\.txt: no posts"):
        MultimodalCorpus(tmp_path, dev_file=None, test_file=None)


def test_a_missing_file_is_named_with_what_is_there(folder):
    (folder / "valid.txt").rename(folder / "development.txt")
    expected = r"no dev file valid\.txt or dev\.txt or valid\.jsonl or dev\.jsonl; the folder has captions\.tsv, dev"
    with pytest.raises(ConfigurationError, match=expected):
        MultimodalCorpus(folder)


def test_missing_folders_and_caption_files_are_named(folder):
    with pytest.raises(ConfigurationError, match="no such folder"):
        MultimodalCorpus(folder / "absent")
    with pytest.raises(ConfigurationError, match="folder of pictures"):
        MultimodalCorpus(folder, images=folder / "absent")
    with pytest.raises(ConfigurationError, match="file of captions"):
        MultimodalCorpus(folder, captions=folder / "absent.tsv")


def test_posts_are_read_from_jsonl(folder):
    posts = [
        {"id": "a", "text": "New York rocks", "entities": [{"start": 0, "end": 8, "type": "LOC"}]},
        {"id": "b", "text": "look", "image": "pictures/0.jpg"},
        {"id": "c", "text": "look", "image": "pictures/0.jpg", "caption": "its own"},
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, posts)))
    corpus = POSTS(folder, dev_file=None, test_file=None, sample_missing_splits=False, captions=folder / "captions.tsv")
    assert [span.text for span in corpus.train[0].get_spans("ner")] == ["New York"]
    assert corpus.train[1].get_metadata("image") == str(folder / "pictures" / "0.jpg")
    assert [s.get_metadata("caption") for s in list(corpus.train)[1:]] == ["a city", "its own"]


def test_a_folder_brings_its_pictures_and_contexts_as_in_predict(folder):
    (folder / "pictures").rename(folder / "images")
    (folder / "ocr.tsv").write_text("0\tSTOP\n")
    corpus = MultimodalCorpus(folder)
    predicted = {post.image_id: post for post in posts_from([str(folder)])[0]}
    for sentence in corpus.get_all_sentences():
        post = predicted[sentence.get_metadata("image_id")]
        assert metadata_or_none(sentence, "image") == post.image
        for key in ("caption", "ocr"):
            assert metadata_or_none(sentence, key) == post.contexts.get(key)
    assert sum(split.pictures for split in corpus.summary.values()) == 1
    assert sum(split.captions for split in corpus.summary.values()) == 2
    bare = MultimodalCorpus(folder, images=False, captions=False, ocr=False)
    assert not any(
        sentence.has_metadata(key) for sentence in bare.get_all_sentences() for key in ("image", "caption", "ocr")
    )


def test_pictures_may_lie_beside_the_posts(folder):
    (folder / "pictures" / "0.jpg").rename(folder / "0.jpg")
    corpus = MultimodalCorpus(folder)
    found = [post.get_metadata("image") for post in corpus.get_all_sentences() if post.has_metadata("image")]
    assert found == [str(folder / "0.jpg")]


def test_other_contexts_are_read_as_captions_are(folder):
    (folder / "tags.tsv").write_text("image_id\ttags\n0\ta dog\n")
    (folder / "ocr.jsonl").write_text('{"image_id": "0", "ocr": "STOP"}\n')
    corpus = MultimodalCorpus(folder, captions=False, tags=folder / "tags.tsv", ocr=folder / "ocr.jsonl")
    found = [post for post in corpus.get_all_sentences() if post.get_metadata("image_id") == "0"]
    assert found
    assert {(post.get_metadata("tags"), post.get_metadata("ocr")) for post in found} == {("a dog", "STOP")}
    assert not any(post.has_metadata("caption") for post in corpus.get_all_sentences())
    assert corpus.files[-2:] == [folder / "tags.tsv", folder / "ocr.jsonl"]
    with pytest.raises(ConfigurationError, match="expected a file of ocr, 'image_id<TAB>ocr' or JSONL"):
        MultimodalCorpus(folder, ocr=folder / "absent.tsv")


def test_objects_of_the_folder_are_found_and_may_be_left_aside(folder):
    line = {"image_id": "0", "objects": [{"label": "dog", "score": 0.5, "box": [0, 0, 0.5, 1]}]}
    (folder / "objects.jsonl").write_text(json.dumps(line))
    corpus = MultimodalCorpus(folder)
    found = {post.get_metadata("image_id") for post in corpus.get_all_sentences() if post.has_metadata("objects")}
    assert found == {"0"}
    assert corpus.files[-1] == folder / "objects.jsonl"
    apart = MultimodalCorpus(folder, objects=False)
    assert not any(post.has_metadata("objects") for post in apart.get_all_sentences())
