"""Serve results to a browser on this machine, and to nobody else.

A page of another site can make a browser send requests to this machine. It gets nothing: every address begins with a
random token that only the printed address holds, and a request for any other host name than this machine's is refused
(DNS rebinding). The page may load nothing from elsewhere; the browser is told so.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.viewer.opened import OpenedResult, OpenResults
from nucleus_unet.viewer.picture import Shown
from nucleus_unet.viewer.pyramid import Tile
from nucleus_unet.viewer.results import Result, as_json

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    **{name: (name, "text/javascript; charset=utf-8") for name in ("app.js", "viewport.js", "tiles.js", "panels.js")},
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ROUTE = re.compile(r"image/(\d{1,9})(?:/(picture|labels|cells|column|nucleus)/(.+))?")
_TILE = re.compile(r"(\d{1,2})/(\d{1,9})/(\d{1,9})")
_CHANNEL = re.compile(r"(\d{1,4}),(-?[\d.e+-]{1,24}),(-?[\d.e+-]{1,24}),([0-9a-fA-F]{6})")
_MOST_CHANNELS = 16
# Pixels are shown in single precision.
_MOST_CONTRAST = 1e38
# Tiles that are made at a time: each may hold some tens of megabytes.
_AT_ONCE = max(2, min(4, os.cpu_count() or 2))
# Seconds after which a silent connection is closed.
_PATIENCE = 60


class Answer(NamedTuple):
    """What a request gets."""

    content: bytes
    kind: str
    status: HTTPStatus = HTTPStatus.OK
    encoding: str = ""
    keep: bool = False


class ResultServer(ThreadingHTTPServer):
    """Serves results on this machine.

    Parameters
    ----------
    results
        What there is.
    title
        Of the page.
    port
        Number of the port; 0 takes a free one.

    Attributes
    ----------
    url
        What a browser opens.

    Raises
    ------
    SettingsError
        If the port is taken or not allowed.
    """

    daemon_threads = True
    # On Windows, this option would let two processes have one port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, results: list[Result], *, title: str, port: int) -> None:
        self.results, self.title = results, title
        self.opened = OpenResults(results)
        self.token = secrets.token_urlsafe(24)
        self.making = threading.BoundedSemaphore(_AT_ONCE)
        try:
            super().__init__((HOST, port), _Handler)
        except OverflowError as error:
            raise SettingsError(f"port: expected 0 to 65535, got {port}") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SettingsError(
                    f"port: another program uses port {port}: give another one, or leave it out"
                ) from error
            if isinstance(error, PermissionError):
                raise SettingsError(f"port: the system keeps port {port} to itself: give one above 1023") from error
            raise
        self.url = f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def open_first(self) -> None:
        """Open the first result that there is. What is wrong with it is told when it is asked for."""
        numbers = [number for number, each in enumerate(self.results) if each.nuclei is not None]
        with suppress(Exception), self.opened.use(numbers[0]) as opened:
            opened.facts()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 (the name is of the base class)
        """Log what went wrong; a browser that closed its connection did nothing wrong."""
        logger.debug("a connection of %s ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: ResultServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nucleus-unet", ""
    timeout = _PATIENCE

    def do_GET(self) -> None:
        self._respond(self._answer())

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        logger.debug(format, *args)

    def _answer(self) -> Answer:
        host = self.headers.get("Host", "")
        if re.sub(r":\d+$", "", host).lower() not in _OWN_NAMES:
            return _refused("this page is for this machine alone", HTTPStatus.FORBIDDEN)
        try:
            parts = urlsplit(self.path)
        except ValueError:
            return _refused("this is no address", HTTPStatus.BAD_REQUEST)
        token, _, path = parts.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(errors="replace"), self.server.token.encode()):
            return _refused("open the address that the program printed: it holds a token", HTTPStatus.FORBIDDEN)
        try:
            return self._page(path, parts.query)
        except (NucleusError, OSError) as error:
            return _refused(str(error), HTTPStatus.UNPROCESSABLE_ENTITY)
        except MemoryError:
            return _refused("not enough memory for this", HTTPStatus.INSUFFICIENT_STORAGE)
        except Exception as error:
            logger.exception("a request failed: %s", path)
            return _refused(f"a bug: {type(error).__name__}: {error}", HTTPStatus.INTERNAL_SERVER_ERROR)

    def _page(self, path: str, query: str) -> Answer:
        if path in _FILES:
            name, kind = _FILES[path]
            return Answer((resources.files("nucleus_unet.viewer") / "page" / name).read_bytes(), kind)
        if path == "images":
            rows = [as_json(number, each) for number, each in enumerate(self.server.results)]
            return _json({"title": self.server.title, "images": rows})
        found = _ROUTE.fullmatch(path)
        if found is None or int(found[1]) >= len(self.server.results):
            return _not_there()
        with self.server.opened.use(int(found[1])) as opened:
            if found[2] is None:
                return _json(opened.facts())
            with self.server.making:
                return _PARTS[found[2]](opened, unquote(found[3]), query)

    def _respond(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Cache-Control", "private, max-age=86400, immutable" if answer.keep else "no-store")
        if answer.encoding:
            self.send_header("Content-Encoding", answer.encoding)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)


def _picture(opened: OpenedResult, place: str, query: str) -> Answer:
    tile, shown = _tile(place), _shown(parse_qs(query).get("channels", [""])[0])
    if tile is None or shown is None:
        return _not_there()
    content = opened.picture_tile(tile, shown)
    return _not_there() if content is None else Answer(content, "image/jpeg", keep=True)


def _labels(opened: OpenedResult, place: str, _query: str, *, cells: bool = False) -> Answer:
    tile = _tile(place)
    content = None if tile is None else opened.label_tile(tile, cells=cells)
    if content is None:
        return _not_there()
    return Answer(content, "application/octet-stream", encoding="deflate", keep=True)


def _cells(opened: OpenedResult, place: str, query: str) -> Answer:
    return _labels(opened, place, query, cells=True)


def _column(opened: OpenedResult, name: str, _query: str) -> Answer:
    if opened.table is None or name not in opened.table.names:
        return _not_there()
    return Answer(np.ascontiguousarray(opened.table.column(name), "<f4").tobytes(), "application/octet-stream")


def _nucleus(opened: OpenedResult, label: str, _query: str) -> Answer:
    row = opened.table.row(int(label)) if opened.table is not None and re.fullmatch(r"\d{1,10}", label) else None
    return _not_there() if row is None else _json(row)


_PARTS: dict[str, Callable[[OpenedResult, str, str], Answer]] = {
    "picture": _picture,
    "labels": _labels,
    "cells": _cells,
    "column": _column,
    "nucleus": _nucleus,
}


def _tile(text: str) -> Tile | None:
    found = _TILE.fullmatch(text)
    return None if found is None else Tile(*map(int, found.groups()))


def _shown(text: str) -> list[Shown] | None:
    """Return the channels that a query asks for, such as ``0,10,200,ffffff;1,0,99,00ff00``; None if it is none."""
    shown = []
    for part in filter(None, text.split(";")[:_MOST_CHANNELS]):
        found = _CHANNEL.fullmatch(part)
        try:
            if found is None:
                return None
            low, high = float(found[2]), float(found[3])
        except ValueError:
            return None
        if not max(abs(low), abs(high)) < _MOST_CONTRAST:  # not a number, too
            return None
        shown.append(Shown(int(found[1]), low, high, np.frombuffer(bytes.fromhex(found[4]), np.uint8).astype("f4")))
    return shown


def _json(values: Any) -> Answer:
    return Answer(json.dumps(values).encode(), "application/json")


def _refused(text: str, status: HTTPStatus) -> Answer:
    return Answer(json.dumps({"error": text}).encode(), "application/json", status)


def _not_there() -> Answer:
    return _refused("there is no such thing", HTTPStatus.NOT_FOUND)
