"""The page's server: the page itself, examples by number, and what a picture that is sent holds."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ms2a.analysis.report import page as report_page
from ms2a.defaults import SCORE_THR
from ms2a.errors import UserError
from ms2a.web.look import Viewer
from ms2a.web.uploads import MAX_BYTES, NoPicture, TooLarge, check_bytes, decode

FOLDER = Path(__file__).parent
FILES = {
    "/": (FOLDER / "page.html", "text/html"),
    "/report.css": (report_page.FOLDER / "page.css", "text/css"),
    "/page.css": (FOLDER / "page.css", "text/css"),
    "/page.js": (FOLDER / "page.js", "text/javascript"),
    "/reading.js": (report_page.FOLDER / "reading.js", "text/javascript"),
}
# Requests that other sites can make a browser send have another one.
CONTENT_TYPE = "application/octet-stream"
AT_ONCE, WAITING, UPLOAD_SECONDS = 2, 32, 60
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATUS = {TooLarge: 413, NoPicture: 415}


class Page:
    """Answers for one viewer.

    Args:
        viewer: what looks at the pictures.
        examples: pictures to pick from, each by a function that reads it; a request names its number only.
        title: of the page.
        bit_depth: of pictures that are sent, see :func:`ms2a.web.uploads.decode`.
        max_bytes: of a picture that is sent.
    """

    def __init__(
        self,
        viewer: Viewer,
        examples: Sequence[Callable[[], np.ndarray]] = (),
        title: str = "MS2A",
        bit_depth: int | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.viewer, self.examples, self.title = viewer, examples, title
        self.bit_depth, self.max_bytes = bit_depth, max_bytes
        self._waiting = 0

    @cached_property
    def _limiter(self) -> anyio.CapacityLimiter:
        """Made inside the loop that it belongs to."""
        return anyio.CapacityLimiter(AT_ONCE)

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        path, kind = FILES[request.url.path]
        return _answer(path.read_bytes(), kind)

    async def facts(self, request: Request) -> Response:
        """What the page has to know before there is a picture."""
        viewer = self.viewer
        return _json(
            {
                "title": self.title,
                "classes": list(viewer.detector.classes),
                "domains": viewer.domains,
                "default": viewer.detector.default_domain,
                "examples": len(self.examples),
                "before": viewer.base is not None,
                "score_thr": SCORE_THR,
                "max_bytes": self.max_bytes,
            }
        )

    async def example(self, request: Request) -> Response:
        """One of the examples, as PNG."""
        number = request.path_params["number"]
        if number >= len(self.examples):
            return _refusal(f"there is no example {number}; there are {len(self.examples)}", 404)
        return _answer(await self._run(partial(_read_png, self.examples[number])), "image/png")

    async def detect(self, request: Request) -> Response:
        """Looks at the picture in the request's body; ``?domain=`` says what is read."""
        if request.headers.get("content-type") != CONTENT_TYPE:
            return _refusal(f"expected a picture's bytes as {CONTENT_TYPE}", 415)
        if self._waiting >= WAITING:
            return _refusal("too many pictures are waiting; try again in a moment", 503)
        self._waiting += 1
        try:
            data = await self._body(request)
            domain = request.query_params.get("domain") or None
            return _json(await self._run(partial(self._look, data, domain)))
        except TimeoutError:
            return _refusal(f"the picture did not arrive within {UPLOAD_SECONDS} s; send it again", 408)
        except ClientDisconnect:
            return _refusal("the connection broke off", 400)
        except UserError as error:
            return _refusal(str(error), _STATUS.get(type(error), 422))
        finally:
            self._waiting -= 1

    async def _body(self, request: Request) -> bytes:
        """The request's body; no more of it is taken than is allowed."""
        stated = request.headers.get("content-length", "")
        check_bytes(int(stated) if stated.isdecimal() else 0, self.max_bytes)
        data = bytearray()
        with anyio.fail_after(UPLOAD_SECONDS):
            async for part in request.stream():
                check_bytes(len(data) + len(part), self.max_bytes)
                data += part
        return bytes(data)

    def _look(self, data: bytes, domain: str | None) -> dict[str, Any]:
        return self.viewer.look(decode(data, self.bit_depth), domain)

    async def _run(self, work: Callable[[], Any]) -> Any:
        """In a thread, a few at a time."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def make_app(page: Page) -> Starlette:
    """The application; it answers to names of this machine only, so that no other site can be put in its place."""
    routes = [Route(path, page.file) for path in FILES]
    routes += [Route("/facts", page.facts), Route("/examples/{number:int}", page.example)]
    routes.append(Route("/detect", page.detect, methods=["POST"]))
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


def _read_png(read: Callable[[], np.ndarray]) -> bytes:
    return cv2.imencode(".png", read())[1].tobytes()


def _answer(data: bytes, kind: str, status: int = 200) -> Response:
    return Response(data, status, HEADERS, kind)


def _json(value: Any, status: int = 200) -> Response:
    return _answer(json.dumps(value, allow_nan=False).encode(), "application/json", status)


def _refusal(line: str, status: int) -> Response:
    return _json({"error": line}, status)
