"""Serving the page: to this machine alone unless told otherwise, without a word to any other host."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from flair_espvr.web.limits import MIB, Limits
from flair_espvr.web.page import page_style

LOCALHOST = "127.0.0.1"

_FORM_BYTES = MIB
"""What a request may hold besides the files that it brings."""

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]


def launch_page(page: gr.Blocks, limits: Limits, *, host: str = LOCALHOST, port: int | None = None) -> str:
    """Serve a page of `build_page` in the background, until `page.close()` or the end of the process.

    Args:
        page: the page.
        limits: bounds on what a request brings.
        host: the address to listen on; `0.0.0.0` for whoever reaches this machine.
        port: the first free one from 7860 on where it is None.

    Returns:
        the page's address.

    Raises:
        OSError: the port is taken.
    """
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=limits.upload_bytes,
        app_kwargs={"middleware": [Middleware(_BoundedRequests, limits.upload_bytes + _FORM_BYTES)]},
        footer_links=["api", "settings"],
        # Gradio's themes name fonts, some of which it would take from other hosts.
        theme=gr.themes.Default(font=_fonts("system-ui", "sans-serif"), font_mono=_fonts("ui-monospace", "monospace")),
        head=f"<style>{page_style()}</style>",
    )
    return address


def _fonts(*names: str) -> list[gr.themes.Font]:
    return [gr.themes.Font(name) for name in names]


class _BoundedRequests:
    """Turns away requests that are too long, or do not say how long they are, before any of them is read."""

    def __init__(self, app: _App, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit():
                await PlainTextResponse("Content-Length required", 411)(scope, receive, send)
                return
            if int(length) > self._most:
                await PlainTextResponse(f"more than {self._most:,} bytes", 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)
