"""The page: what visitors give and see, in Gradio's components."""

import html
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio_client.utils import is_file_obj, is_http_url_like, traverse

from flair_espvr.data.metadata import CAPTION, KNOWLEDGE, OBJECTS, OCR, TAGS
from flair_espvr.report import post_css
from flair_espvr.web.answers import OBJECTS_FORM, Answers
from flair_espvr.web.limits import RefusedError

Result = TypeVar("Result")

_CONTEXTS = {
    CAPTION: ("Caption", "what describes the picture"),
    TAGS: ("Tags", "names of what the picture shows"),
    OCR: ("Text in the picture", "words that stand in it"),
    KNOWLEDGE: ("Knowledge", "text about the post from elsewhere"),
    OBJECTS: ("Objects", f"what is where in the picture, as JSON: {OBJECTS_FORM}"),
}

_INTRODUCTION = """\
# {title}

Give a post's text and, if there is one, its picture. Entities are marked in the text with their type and how sure the
tagger is; a box with the same number is the part of the picture that supports it."""

_BATCH = """\
Posts as JSONL, a line each: `{"id": "7", "text": "...", "image": "7.jpg", "caption": "..."}`, or as columns. Pictures
are taken from the zip only, by the names that posts give. """

_EMPTY = '<p class="none">The tagged post will be here.</p>'

_KEPT = 3600
"""Seconds for which files of visitors are kept."""

_STYLE = """
{card}
.espvr .post {{ grid-template-columns: minmax(0, 1fr); margin: 0 }}
.espvr .none {{ padding: 1.25rem; border: 1px dashed var(--line); border-radius: .75rem }}
"""


class _Page(gr.Blocks):
    """Blocks to which a visitor can upload files, but not name them: Gradio would fetch an address given as a path."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *arguments: Any, **options: Any) -> Any:
        traverse(inputs, _refuse_address, is_file_obj)
        return await super().preprocess_data(block_fn, inputs, *arguments, **options)


def build_page(
    answers: Answers,
    *,
    title: str,
    reads_images: bool = True,
    contexts: Sequence[str] = tuple(_CONTEXTS),
    examples: Sequence[Mapping[str, Any]] = (),
) -> gr.Blocks:
    """Return the page, not launched yet; see `launch_page`.

    Args:
        answers: what it asks.
        title: its heading.
        reads_images: whether to ask for pictures.
        contexts: metadata keys of what to ask for besides text and picture.
        examples: posts to begin with: `"text"`, the path of the `"image"`, contexts, and the paths of `"further"`
            pictures.
    """
    asked = [key for key in _CONTEXTS if key in contexts]

    def tag(text: str, picture: str | None, *others: Any) -> tuple[str, dict[str, Any]]:
        *texts, more = others
        given = {key: value or "" for key, value in zip(asked, texts, strict=True)}
        first = Path(picture) if picture else None
        card, record = _told(lambda: answers.tag(text or "", first, given, list(map(Path, more or []))))
        return f'<div class="espvr">{card}</div>', record

    def tag_files(
        posts: str | None,
        pictures: str | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio's own way
    ) -> tuple[str, list[str]]:
        if posts is None:
            raise gr.Error("There is no file of posts.", print_exception=False)
        out = Path(found.GRADIO_CACHE) / secrets.token_hex(16)  # a folder that Gradio serves from, and clears
        out.mkdir(parents=True)
        files = _told(
            lambda: answers.tag_files(
                Path(posts),
                Path(pictures) if pictures else None,
                out,
                lambda done, total: progress((done, total), desc="Tagging", unit="posts"),
            )
        )
        return files.summary, [str(files.predictions), str(files.page)]

    with _Page(title=title, analytics_enabled=False, delete_cache=(_KEPT, _KEPT)) as page:
        gr.Markdown(_INTRODUCTION.format(title=title))
        with gr.Tabs():
            with gr.Tab("A post"):
                with gr.Row():
                    with gr.Column(min_width=300):
                        text = gr.Textbox(label="Text", lines=3, max_lines=12, elem_id="text")
                        picture = gr.Image(
                            label="Picture",
                            type="filepath",
                            sources=["upload", "webcam", "clipboard"],
                            height=260,
                            visible=reads_images,
                            elem_id="picture",
                        )
                        # Gradio would open it with Pillow, without our bounds.
                        picture.preprocess = lambda payload: payload and payload.path
                        with gr.Accordion("More pictures", open=False, visible=reads_images):
                            further = gr.File(
                                label="Further pictures of the post",
                                type="filepath",
                                file_count="multiple",
                                file_types=["image"],
                                height=140,
                                elem_id="further",
                            )
                        with gr.Accordion("Caption and other contexts", visible=bool(asked)):
                            fields = [
                                gr.Textbox(label=label, info=info, elem_id=key)
                                for key, (label, info) in _CONTEXTS.items()
                                if key in asked
                            ]
                        button = gr.Button("Tag", variant="primary", elem_id="tag")
                    with gr.Column(min_width=300):
                        card = gr.HTML(f'<div class="espvr">{_EMPTY}</div>', elem_id="card")
                        with gr.Accordion("JSON", open=False):
                            record = gr.JSON(label="The post with its entities")
                inputs = [text, picture, *fields, further]
                if examples:
                    shown = ["text", "image", *asked]
                    shown += ["further"] if any(post.get("further") for post in examples) else []
                    rows = [list(map(post.get, shown)) for post in examples]
                    gr.Examples(
                        rows, inputs[: len(shown)], label="Posts to try", examples_per_page=6, api_visibility="private"
                    )
            with gr.Tab("Many posts"):
                gr.Markdown(_BATCH + str(answers.limits))
                with gr.Row():
                    posts = gr.File(label="Posts (.jsonl, .txt)", type="filepath", height=160, elem_id="posts")
                    pictures = gr.File(
                        label="Pictures (.zip)", type="filepath", height=160, visible=reads_images, elem_id="pictures"
                    )
                run = gr.Button("Tag all", variant="primary", elem_id="tag-all")
                summary = gr.Markdown(elem_id="summary")
                found = gr.File(label="Tagged posts and their page", interactive=False, elem_id="found")
        gr.on(
            [button.click, text.submit],
            tag,
            inputs,
            [card, record],
            api_name="tag",
            concurrency_limit=answers.limits.visitors,
        )
        run.click(tag_files, [posts, pictures], [summary, found], api_name="tag_files", concurrency_limit=1)
    page.queue(max_size=answers.limits.waiting)
    return page


def page_style() -> str:
    """Return the style sheet of the page's cards."""
    return _STYLE.format(card=post_css(scope=".espvr", dark=".dark .espvr"))


def _told(work: Callable[[], Result]) -> Result:
    """Return the work's result; what a visitor is refused is told to them."""
    try:
        return work()
    except RefusedError as error:
        raise gr.Error(html.escape(str(error)), print_exception=False) from None


def _refuse_address(file: dict[str, Any]) -> dict[str, Any]:
    if is_http_url_like(str(file["path"])):
        raise gr.Error("Files are uploaded here; addresses are not fetched.", print_exception=False)
    return file
