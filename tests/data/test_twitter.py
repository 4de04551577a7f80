import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import flair
import pytest

from flair_espvr.data import TWITTER_2015, TWITTER_2017, twitter
from flair_espvr.errors import ConfigurationError, EspvrError

FILES = {
    f"{split}.txt": f"IMGID:{split}\nKevin\tB-PER\nand\tO\nNBA\tI-OTHER\n\n".encode()
    for split in ("train", "valid", "test")
}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server with small files under the published paths; `server.answers[path]` changes one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested.append(self.path)
            status, promised, content = answers.get(self.path, (404, 0, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    answers = {f"/twitter2017/{name}": (200, len(content), content) for name, content in FILES.items()}
    requested = []
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.answers, http.requested = answers, requested
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    monkeypatch.setattr(twitter, "UMT_DATA", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setattr(TWITTER_2017, "sha256", HASHES)
    monkeypatch.setattr(flair, "cache_root", tmp_path)
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "datasets" / "twitter2017"


def test_it_is_downloaded_once(server, cache):
    corpus = TWITTER_2017()
    assert str(corpus) == "TWITTER_2017: 1 train + 1 dev + 1 test sentences"
    assert corpus.edition.startswith("UMT")
    assert {path.name for path in cache.iterdir()} == set(FILES)
    TWITTER_2017()
    assert len(server.requested) == 3


PATH = "/twitter2017/valid.txt"
CONTENT = FILES["valid.txt"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, len(CONTENT), CONTENT[:20]), "download failed"),
        ((200, len(CONTENT), CONTENT.replace(b"Kevin", b"Keven")), "what arrived has SHA-256"),
        ((200, 0, b""), "what arrived has SHA-256"),
        ((404, 0, b""), "download failed.*404"),
    ],
    ids=["broken off", "corrupted", "empty", "gone"],
)
def test_a_failed_download_leaves_nothing_and_the_next_one_mends_it(server, cache, answer, reason):
    server.answers[PATH] = answer
    with pytest.raises(EspvrError, match=rf"valid\.txt: {reason}"):
        TWITTER_2017()
    assert {path.name for path in cache.iterdir()} == {"train.txt"}
    server.answers[PATH] = (200, len(CONTENT), CONTENT)
    assert len(TWITTER_2017().dev) == 1
    assert server.requested.count("/twitter2017/train.txt") == 1


def test_no_server_is_said_so(server, monkeypatch):
    monkeypatch.setattr(twitter, "UMT_DATA", "http://127.0.0.1:9")
    with pytest.raises(EspvrError, match="download failed"):
        TWITTER_2017()


@pytest.fixture
def local(monkeypatch, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(TWITTER_2017, "sha256", HASHES)
    return tmp_path


def test_local_files_are_used_and_other_becomes_misc(local):
    corpus = TWITTER_2017(local)
    assert [span.tag for span in corpus.train[0].get_spans("ner")] == ["PER", "MISC"]
    assert [span.tag for span in TWITTER_2017(local, label_name_map={}).train[0].get_spans("ner")] == ["PER", "OTHER"]


def test_without_pictures_it_says_where_they_are(local, caplog):
    with caplog.at_level("INFO", logger="flair"):
        TWITTER_2017(base_path=local)
    assert "goes on without pictures; UMT's authors publish them at https://drive.google.com/" in caplog.text


def test_another_edition_is_refused_or_named(local):
    (local / "test.txt").write_bytes(FILES["test.txt"].replace(b"I-OTHER", b"B-OTHER"))
    with pytest.raises(ConfigurationError, match=r"test\.txt differ from the edition"):
        TWITTER_2017(local)
    edition = TWITTER_2017(local, allow_other_edition=True).edition
    assert edition.startswith("other")
    assert hashlib.sha256((local / "test.txt").read_bytes()).hexdigest()[:12] in edition


def test_a_folder_without_the_files_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected train\.txt, valid\.txt, test\.txt, found none"):
        TWITTER_2017(tmp_path)


def test_the_published_files(real_corpus):
    corpus = {"twitter2015": TWITTER_2015, "twitter2017": TWITTER_2017}[real_corpus.name](
        real_corpus, captions=real_corpus / "captions.tsv"
    )
    splits = [corpus.summary[split] for split in ("train", "dev", "test")]
    posts, entities, captions, invalid = {
        "twitter2015": ([4000, 1000, 3257], 5207, 8257, [186, 53, 135]),
        "twitter2017": ([3373, 723, 723], 1351, 4461, [0, 0, 0]),
    }[real_corpus.name]
    assert [split.posts for split in splits] == posts
    assert sum(split.captions for split in splits) == captions
    assert [split.invalid_tags for split in splits] == invalid
    assert corpus.summary["test"].entities == entities
    assert set(corpus.make_label_dictionary("ner").get_items()) == {"PER", "LOC", "ORG", "MISC"}
    # the number of words is the number of lines with a TAB, however invisible the word
    lines = (real_corpus / "test.txt").read_bytes().count(b"\t")
    assert sum(len(sentence) for sentence in corpus.test) == lines
