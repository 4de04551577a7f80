"""The page, served: through Gradio's own client, and through requests that no browser sends."""

import gc
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio", reason="the demo extra (Gradio) is not installed")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import gradio_client
    import httpx

    from flair_espvr.web.demo import example_posts, running_demo
    from flair_espvr.web.limits import MIB, Limits
    from flair_espvr.web.page import build_page
    from flair_espvr.web.server import launch_page

from flair_espvr import ESPVRTagger, MultimodalTagger
from flair_espvr.web.space import export_space

# Gradio 6.17's own, of Starlette and asyncio.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.HTTP_422_UNPROCESSABLE_ENTITY"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _left_behind() -> Iterator[None]:
    """Collects the event loops and sockets that Gradio leaves open, here: collected later, they fail another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


LIMITS = Limits(upload_bytes=MIB, waiting=1, visitors=1)


@pytest.fixture
def address(build: Callable[..., ESPVRTagger], pictures: list[Path]) -> Iterator[str]:
    tagger = build()
    tagger.network.tag_emissions.bias.data[1] += 1.0
    examples = [{"text": "mary in oakland", "image": str(pictures[0]), "caption": None}]
    with running_demo(tagger, title="A <title>", examples=examples, limits=LIMITS) as address:
        yield address


def upload(address: str, path: Path) -> str:
    """Where the server put a file."""
    answer = httpx.post(f"{address}gradio_api/upload", files={"files": path.read_bytes()})
    return str(answer.raise_for_status().json()[0])


def call(address: str, name: str, data: list[Any]) -> tuple[str, Any]:
    """The last event that an endpoint answers with: `"complete"` or `"error"`, and its data."""
    event = httpx.post(f"{address}gradio_api/call/{name}", json={"data": data}).raise_for_status().json()["event_id"]
    lines = httpx.get(f"{address}gradio_api/call/{name}/{event}", timeout=120).text.split("\n")
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    values = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return kinds[-1], values[-1]


def file(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_the_api_and_what_it_refuses(address: str, pictures: list[Path], tmp_path: Path) -> None:
    assert address.startswith("http://127.0.0.1:")
    client = gradio_client.Client(address, verbose=False)
    picture = gradio_client.handle_file(str(pictures[0]))
    with ThreadPoolExecutor(1) as visitor:
        card, record = visitor.submit(
            client.predict, "mary in oakland", picture, "a woman", [picture, picture], api_name="/tag"
        ).result()
    assert record["text"] == "mary in oakland"
    assert record["caption"] == "a woman"
    assert "<article" in card
    assert card.count("<figure") == 3

    assert call(address, "tag", ["  ", None, "", None])[0] == "error"
    assert call(address, "tag", ["mary", file(upload(address, pictures[1])), "", None])[0] == "complete"
    assert call(address, "tag", ["mary", file("/etc/hostname"), "", None])[0] == "error"
    assert call(address, "tag", ["mary", None, "", [file("/etc/hostname")]])[0] == "error"

    asked = []

    class Other(BaseHTTPRequestHandler):
        """Another host, which nobody should ask."""

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}/a.png"
        for data in (
            ["mary", file(url), "", None],
            ["mary", None, "", [file(url)]],
            [file(url), None, "", None],
            [{"deep": [file(url)]}, None, "", None],
        ):
            assert call(address, "tag", data)[0] == "error"
        assert call(address, "tag_files", [file(url), None])[0] == "error"
        other.shutdown()
        thread.join()
    assert not asked

    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "mary"}\n', encoding="utf-8")
    posts = file(upload(address, tmp_path / "posts.jsonl"))
    kind, (summary, files) = call(address, "tag_files", [posts, None])
    assert kind == "complete"
    assert summary.startswith("1 posts")
    predictions, report = (httpx.get(entry["url"]) for entry in files)
    assert predictions.json()["text"] == "mary"
    assert "attachment" in report.headers["content-disposition"]  # no page of a visitor's is shown as one of ours

    large = httpx.post(f"{address}gradio_api/upload", files={"files": bytes(3 * MIB)})
    assert large.status_code == 413
    endless = httpx.post(f"{address}gradio_api/upload", content=iter([b"x"]))
    assert endless.status_code == 411


def test_the_page_names_no_other_host_to_load_from(address: str) -> None:
    page = httpx.get(address).text
    for part in page.split("<link")[1:] + page.split("<script")[1:]:
        tag = part.partition(">")[0]
        assert "//" not in tag.replace(address, ""), tag
    assert "A &lt;title&gt;" in page or "<title>A <title>" not in page


class Slow:
    """Answers that wait to be let through."""

    limits = LIMITS

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def tag(self, *_: Any) -> tuple[str, dict[str, Any]]:
        self.entered.set()
        assert self.open.wait(60)
        return "done", {}


def test_one_too_many_is_told_that_the_page_is_busy() -> None:
    slow: Any = Slow()
    page = build_page(slow, title="Slow")
    address = launch_page(page, LIMITS)
    try:
        with ThreadPoolExecutor(2) as visitors:
            data = ["mary", None, "", "", "", "", "", None]
            first = visitors.submit(call, address, "tag", data)
            assert slow.entered.wait(60)
            waiting = httpx.post(f"{address}gradio_api/call/tag", json={"data": data})
            refused = httpx.post(f"{address}gradio_api/call/tag", json={"data": data})
            slow.open.set()
            assert first.result()[0] == "complete"
        assert (waiting.status_code, refused.status_code) == (200, 503)
        assert "full" in refused.json()["detail"]
    finally:
        slow.open.set()
        page.close(verbose=False)


def test_examples_are_posts_of_a_folder(corpus_folder: Path, pictures: list[Path]) -> None:
    (corpus_folder / "images").mkdir()
    (corpus_folder / "images" / "0.png").write_bytes(pictures[0].read_bytes())
    first, *others = example_posts(str(corpus_folder), most=3)
    assert first == {
        "text": "Ada in Rome",
        "image": str(corpus_folder / "images" / "0.png"),
        "caption": "a room",
    }
    assert len(others) == 2
    found = [{"label": "room", "score": 0.5, "box": [0.0, 0.0, 1.0, 1.0]}]
    (corpus_folder / "objects.jsonl").write_text(json.dumps({"image_id": "0", "objects": found}))
    assert json.loads(str(example_posts(str(corpus_folder), most=1)[0]["objects"])) == found


@pytest.mark.parametrize(("model", "asked"), [("espvr", []), ("umgf", ["objects"]), ("mgcmt", ["objects"])])
def test_a_page_asks_for_objects_where_the_model_reads_them(
    model: str, asked: list[str], build: Callable[..., MultimodalTagger]
) -> None:
    with running_demo(build(model)) as address:
        fields = httpx.get(f"{address}config").json()["components"]
    assert [field["props"]["elem_id"] for field in fields if field["props"].get("elem_id") == "objects"] == asked


def test_a_space_holds_a_model_that_needs_nothing_else(build: Callable[..., ESPVRTagger], tmp_path: Path) -> None:
    tagger = build()
    paths = export_space(tagger, tmp_path / "space", title='Ada\'s "page"')
    assert {path.name for path in paths} == {
        "app.py",
        "requirements.txt",
        "README.md",
        ".gitattributes",
        "model.pt",
    }
    program = (tmp_path / "space" / "app.py").read_text(encoding="utf-8")
    compile(program, "app.py", "exec")
    assert repr('Ada\'s "page"') in program
    assert "sdk: gradio" in (tmp_path / "space" / "README.md").read_text(encoding="utf-8")
    assert MultimodalTagger.load(tmp_path / "space" / "model.pt").region_embeddings is not None
