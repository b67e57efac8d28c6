"""Download of one large file over HTTP, which resumes after an interruption.

The bytes go to a `.part` file. A `.part.json` file beside it records to which version of the file they belong. The next
request asks the server for the rest of the same version (RFC 9110: Range, If-Range). If the server has another version,
the download starts again. The code is our own because pooch, requests and urllib3 do not resume a download.
"""

import errno
import http.client
import json
import logging
import shutil
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from nucleus_unet.errors import DownloadError
from nucleus_unet.io.atomic import write_atomically

logger = logging.getLogger(__name__)

ATTEMPTS = 5  # in a row without a new byte
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 60.0
_TIMEOUT = 60.0
_CHUNK = 1 << 16


def fetch(
    url: str,
    part: Path,
    *,
    authorization: str | None = None,
    hints: Mapping[int, str] | None = None,
    progress: bool = False,
) -> None:
    """Fetch `url` into `part`, going on from what is there, until the file is as long as announced.

    Transient faults (connections refused or cut, timeouts, statuses such as 503) are retried with growing
    pauses, until 5 attempts in a row brought nothing new.

    Parameters
    ----------
    url
        Address, http or https.
    part
        File for the bytes; its folder exists. What it holds stays when fetching fails.
    authorization
        Value of the Authorization header. It goes to the scheme, host and port of `url` only, wherever the
        server redirects.
    hints
        HTTP status -> what to do about it, for the error's message.
    progress
        Show a progress bar if standard error is a terminal.

    Raises
    ------
    DownloadError
        The server refused, could not be reached, kept failing, or the disk is full.
    """
    most, failures = _size(part), 0
    with _bar(part.stem, progress) as bar:
        while True:
            try:
                return _attempt(url, part, authorization, hints or {}, bar)
            except _TransientError as fault:
                if fault.start_over:
                    _discard(part)
                # New bytes are counted over all attempts, so that a server that always starts over ends it.
                failures = 1 if _size(part) > most else failures + 1
                most = max(most, _size(part))
                if failures >= ATTEMPTS:
                    raise DownloadError(
                        f"{url}: {fault}; {failures} attempts brought nothing new. Look at the network "
                        f"and run it again: it goes on from the {_size(part):,} bytes in {part}"
                    ) from fault
                pause = min(fault.retry_after or 2.0 ** (failures - 1), _LONGEST_PAUSE)
                logger.warning("%s: %s; trying again in %g s", url, fault, pause)
                time.sleep(pause)


class _TransientError(Exception):
    """A fault that another attempt may not meet."""

    def __init__(self, what: str, *, retry_after: float | None = None, start_over: bool = False) -> None:
        super().__init__(what)
        self.retry_after = retry_after
        self.start_over = start_over


@dataclass(frozen=True)
class _Version:
    """Which version of which file the bytes of a part belong to.

    `validator` is a strong ETag or a date of last change; None: the part can't be continued.
    """

    url: str
    size: int | None
    validator: str | None

    @classmethod
    def of_response(cls, url: str, response: http.client.HTTPResponse) -> "_Version":
        etag = response.headers["ETag"]
        strong = etag if etag and not etag.startswith("W/") else None
        return cls(url, response.length, strong or response.headers["Last-Modified"])

    @classmethod
    def of_part(cls, part: Path) -> "_Version | None":
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(_note(part).read_text(encoding="utf-8")))
        return None


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but takes no secret to another origin and nothing from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is None:
            return None
        if req.type == "https" and new.type != "https":
            raise DownloadError(f"{req.full_url} redirects to an address without encryption; it was not followed")
        secret = req.unredirected_hdrs.get("Authorization")
        if secret and (new.type, new.host) == (req.type, req.host):
            new.add_unredirected_header("Authorization", secret)
        return new


def _attempt(url: str, part: Path, authorization: str | None, hints: Mapping[int, str], bar: Progress) -> None:
    version = _Version.of_part(part)
    offset = _size(part) if version and version.url == url else 0
    if version and offset and offset == version.size:
        return
    request = Request(url, headers={"User-Agent": "nucleus-unet"})
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    if version and version.validator and offset:
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("If-Range", version.validator)
    with _open(request, hints) as response:
        if version and response.status == HTTPStatus.PARTIAL_CONTENT:
            _check_continuation(response, version, offset)
        else:
            offset, version = 0, _start(url, part, response)
        needed = (version.size or 0) - offset
        if shutil.disk_usage(part.parent).free < needed:
            raise _disk_full(part, needed)
        bar.update(bar.task_ids[0], total=version.size, completed=offset)
        _copy(response, part, bar)
    if version.size is not None and _size(part) != version.size:
        raise _TransientError(f"the connection ended after {_size(part):,} of {version.size:,} bytes")


def _open(request: Request, hints: Mapping[int, str]) -> http.client.HTTPResponse:
    try:
        response: http.client.HTTPResponse = build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    except HTTPError as error:
        with error:
            raise _fault_of_status(request.full_url, error, hints) from error
    except DownloadError:
        raise
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{request.full_url}: the server's certificate is not trusted: {error.reason}"
            ) from error
        raise _TransientError(f"no connection: {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"no answer: {error!r}") from error
    return response


def _fault_of_status(url: str, error: HTTPError, hints: Mapping[int, str]) -> Exception:
    what = f"the server answered {error.code} {error.reason}"
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _TransientError(f"{what}: the file is no longer as long as announced", start_over=True)
    if error.code in _TRANSIENT_STATUS:
        seconds = error.headers["Retry-After"] or ""
        return _TransientError(what, retry_after=float(seconds) if seconds.isdecimal() else None)
    return DownloadError(f"{url}: {what}. {hints.get(error.code, '')}".rstrip())


def _check_continuation(response: http.client.HTTPResponse, version: _Version, offset: int) -> None:
    span = response.headers["Content-Range"] or ""
    requested = f"bytes {offset}-"
    same_size = version.size is None or span.endswith((f"/{version.size}", "/*"))
    if not span.startswith(requested) or not same_size:
        raise _TransientError(f"requested {requested}, the server sent {span or 'an unknown range'}", start_over=True)


def _start(url: str, part: Path, response: http.client.HTTPResponse) -> _Version:
    """Begin a part with the whole file to come; what it held is of another version or cannot be continued."""
    if response.headers.get_content_type() == "text/html":
        raise DownloadError(f"{url}: a web page came instead of a file; a login page or proxy may be in between")
    if _size(part):
        logger.warning("%s: the server sends the file from the start; %d bytes are dropped", url, _size(part))
    # Emptied before the note changes: killed in between, old bytes never pass for the new version's.
    part.write_bytes(b"")
    version = _Version.of_response(url, response)
    write_atomically(_note(part), json.dumps(asdict(version)))
    return version


def _copy(response: http.client.HTTPResponse, part: Path, bar: Progress) -> None:
    try:
        with part.open("ab") as file:
            while chunk := _receive(response):
                file.write(chunk)
                bar.advance(bar.task_ids[0], len(chunk))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(part) from error
        raise


def _receive(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TransientError(f"the connection was cut: {error!r}") from error


def _disk_full(part: Path, needed: int | None = None) -> DownloadError:
    amount = "" if needed is None else f" {needed / 1e6:,.1f} MB more are needed."
    return DownloadError(
        f"the disk of {part.parent} is full.{amount} Free some space and run it again: it goes on where it stopped"
    )


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _bar(name: str, progress: bool) -> Progress:
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not (progress and console.is_terminal))
    bar.add_task(name, total=None)
    return bar
