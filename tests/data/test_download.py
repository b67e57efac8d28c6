"""Downloading against a server on this machine that misbehaves on request."""

import errno
import hashlib
import io
import json
import shutil
import threading
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pytest
from nucleus_unet.data import download as module
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.data.download import download
from nucleus_unet.errors import DownloadError, SettingsError

IMAGES = 3
HALF = 40_000


def make_archive(images: int = IMAGES, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (200, 200), dtype=np.uint8)
    mask = np.zeros((200, 200), dtype=np.uint8)
    mask[5:9, 5:9] = 255
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index in range(images):
            archive.writestr(f"id{index}/images/id{index}.png", imagecodecs.png_encode(pixels))
            archive.writestr(f"id{index}/masks/0.png", imagecodecs.png_encode(mask))
    return buffer.getvalue()


ARCHIVE = make_archive()


class Asked(NamedTuple):
    """A request as the server saw it, and how many bytes of the file it sent."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None
    sent: int


class Answer(NamedTuple):
    """How the server behaves for one request; the defaults are a good server's."""

    status: int | None = None
    body: bytes | None = None
    cut_after: int | None = None
    length: int | None = None
    etag: str | None = '"one"'
    ranges: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    range_start: int | None = None


class Server:
    """A file server: it plays the `answers` in turn, and the `usual` one when they are used up."""

    def __init__(self) -> None:
        self.answers: deque[Answer] = deque()
        self.usual = Answer()
        self.asked: list[Asked] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                answer = server.answers.popleft() if server.answers else server.usual
                body = ARCHIVE if answer.body is None else answer.body
                start, status = 0, answer.status or 200
                asked = self.headers["Range"]
                if asked and answer.ranges and self.headers["If-Range"] == answer.etag and status == 200:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    status = 206 if start < len(body) else 416
                content = body[start:][: answer.cut_after] if status in (200, 206) else b""
                secret = self.headers["Authorization"]
                server.asked.append(Asked(self.path, asked, self.headers["If-Range"], secret, len(content)))
                self.send_response(status)
                if status in (200, 206):
                    length = len(body) - start if answer.length is None else answer.length
                    self.send_header("Content-Length", str(length))
                if status == 206:
                    said = start if answer.range_start is None else answer.range_start
                    self.send_header("Content-Range", f"bytes {said}-{len(body) - 1}/{len(body)}")
                if answer.etag:
                    self.send_header("ETag", answer.etag)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def other_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses asked for, none taken; no proxy between the test and its server, no key of the user's."""
    taken: list[float] = []
    monkeypatch.setattr("nucleus_unet.data.fetch.time.sleep", taken.append)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return taken


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def run(**options: Any) -> Path:
        return download(tmp_path / "data", base_url=server.url, **{"expected_images": IMAGES} | options)

    return run


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "data" / "stage1_train.zip.part"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


COMPLETE = {"stage1_train.zip", "stage1_train.zip.sha256"}


def test_the_archive_and_its_sha256_are_all_that_is_left(get: Callable[..., Path]) -> None:
    archive = get()
    assert archive.read_bytes() == ARCHIVE
    assert files(archive.parent) == COMPLETE
    record = (archive.parent / "stage1_train.zip.sha256").read_text()
    assert record == f"{hashlib.sha256(ARCHIVE).hexdigest()}  stage1_train.zip\n"


def test_the_archive_can_be_read_as_it_is(get: Callable[..., Path]) -> None:
    _, report = read_examples(get())
    assert (report.images, report.nuclei) == (IMAGES, IMAGES)


def test_an_archive_that_is_there_is_verified_without_asking_the_server(
    get: Callable[..., Path], server: Server
) -> None:
    assert get() == get()
    assert len(server.asked) == 1


def test_an_archive_that_has_changed_since_is_an_error_and_is_kept(get: Callable[..., Path], server: Server) -> None:
    archive = get()
    archive.write_bytes(ARCHIVE + b"more")
    with pytest.raises(DownloadError, match=r"not what stage1_train\.zip\.sha256 recorded: move it away"):
        get()
    assert archive.read_bytes() == ARCHIVE + b"more"
    assert len(server.asked) == 1


def test_an_archive_put_there_by_hand_is_verified_and_recorded(
    get: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stage1_train.zip").write_bytes(ARCHIVE)
    assert files(get().parent) == COMPLETE
    assert server.asked == []


def test_half_an_archive_put_there_by_hand_is_an_error_and_is_kept(get: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stage1_train.zip").write_bytes(ARCHIVE[:HALF])
    with pytest.raises(DownloadError, match=r"no sound zip archive.*move it away"):
        get()
    assert files(tmp_path / "data") == {"stage1_train.zip"}


def test_a_cut_connection_is_resumed_and_no_byte_is_fetched_twice(
    get: Callable[..., Path], server: Server, pauses: list[float]
) -> None:
    server.answers += [Answer(cut_after=HALF), Answer(cut_after=HALF)]
    assert get().read_bytes() == ARCHIVE
    assert [asked.range for asked in server.asked] == [None, f"bytes={HALF}-", f"bytes={2 * HALF}-"]
    assert {asked.if_range for asked in server.asked[1:]} == {'"one"'}
    assert sum(asked.sent for asked in server.asked) == len(ARCHIVE)
    assert pauses == [1, 1]


def test_an_interrupted_run_is_resumed_by_the_next(
    get: Callable[..., Path], server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    server.answers.append(Answer(cut_after=HALF))
    with monkeypatch.context() as patch:
        patch.setattr("nucleus_unet.data.fetch.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert part.stat().st_size == HALF
    assert get().read_bytes() == ARCHIVE
    assert sum(asked.sent for asked in server.asked) == len(ARCHIVE)


def test_a_run_interrupted_while_verifying_does_not_fetch_again(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(archive: zipfile.ZipFile) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "testzip", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert get().read_bytes() == ARCHIVE
    assert len(server.asked) == 1


def test_a_part_that_is_complete_is_not_fetched_again(get: Callable[..., Path], server: Server, part: Path) -> None:
    part.parent.mkdir()
    part.write_bytes(ARCHIVE)
    note = {"url": f"{server.url}/stage1_train.zip", "size": len(ARCHIVE), "validator": None}
    part.with_name(part.name + ".json").write_text(json.dumps(note))
    assert get().read_bytes() == ARCHIVE
    assert server.asked == []


@pytest.mark.parametrize("note", [None, "{", "[]", '{"url": 1}'])
def test_a_part_of_unknown_origin_is_fetched_from_the_start(
    get: Callable[..., Path], server: Server, part: Path, note: str | None
) -> None:
    part.parent.mkdir()
    part.write_bytes(b"?" * HALF)
    if note is not None:
        part.with_name(part.name + ".json").write_text(note)
    assert get().read_bytes() == ARCHIVE
    assert server.asked[0].range is None


def test_a_server_without_ranges_sends_the_file_from_the_start(get: Callable[..., Path], server: Server) -> None:
    server.usual = Answer(ranges=False)
    server.answers.append(Answer(cut_after=HALF))
    assert get().read_bytes() == ARCHIVE
    assert server.asked[1].sent == len(ARCHIVE)


def test_a_server_without_validators_is_asked_from_the_start(get: Callable[..., Path], server: Server) -> None:
    server.usual = Answer(etag=None)
    server.answers.append(Answer(etag=None, cut_after=HALF))
    assert get().read_bytes() == ARCHIVE
    assert [asked.range for asked in server.asked] == [None, None]


def test_a_weak_etag_gives_way_to_the_date_of_last_change(get: Callable[..., Path], server: Server) -> None:
    date = "Mon, 05 Mar 2018 12:00:00 GMT"
    server.answers.append(Answer(etag='W/"one"', headers=(("Last-Modified", date),), cut_after=HALF))
    assert get().read_bytes() == ARCHIVE
    assert server.asked[1].if_range == date


def test_a_file_that_changes_half_way_is_fetched_from_the_start(get: Callable[..., Path], server: Server) -> None:
    changed = make_archive(seed=1)
    server.usual = Answer(body=changed, etag='"two"')
    server.answers.append(Answer(cut_after=HALF))
    assert get().read_bytes() == changed
    assert [(asked.range, asked.sent) for asked in server.asked] == [
        (None, HALF),
        (f"bytes={HALF}-", len(changed)),
    ]


def test_a_range_other_than_asked_for_is_not_appended(get: Callable[..., Path], server: Server) -> None:
    server.answers += [Answer(cut_after=HALF), Answer(range_start=0)]
    assert get().read_bytes() == ARCHIVE
    assert server.asked[2].range is None


def test_transient_faults_are_tried_again_with_growing_pauses(
    get: Callable[..., Path], server: Server, pauses: list[float]
) -> None:
    server.answers += [Answer(status=503), Answer(status=503)]
    assert get().read_bytes() == ARCHIVE
    assert pauses == [1, 2]


def test_the_server_may_say_how_long_to_wait(get: Callable[..., Path], server: Server, pauses: list[float]) -> None:
    server.answers += [Answer(status=429, headers=(("Retry-After", "17"),))]
    get()
    assert pauses == [17]


def test_a_server_that_stays_broken_ends_it(get: Callable[..., Path], server: Server) -> None:
    server.usual = Answer(status=503)
    with pytest.raises(DownloadError, match=r"answered 503.*5 attempts brought nothing new.*run it again"):
        get()
    assert len(server.asked) == 5


def test_a_server_that_cannot_be_reached_ends_it(tmp_path: Path) -> None:
    server = Server()
    url = server.url
    server.close()
    with pytest.raises(DownloadError, match=r"no connection.*Look at the network"):
        download(tmp_path, base_url=url)


def test_a_file_shorter_than_announced_ends_it(get: Callable[..., Path], server: Server, part: Path) -> None:
    server.usual = Answer(length=len(ARCHIVE) + 5)
    with pytest.raises(DownloadError, match="5 attempts brought nothing new"):
        get()
    assert not (part.parent / "stage1_train.zip").exists()


def test_a_server_that_always_cuts_and_knows_no_ranges_ends_it(get: Callable[..., Path], server: Server) -> None:
    server.usual = Answer(ranges=False, cut_after=HALF)
    with pytest.raises(DownloadError, match=rf"ended after {HALF:,} of {len(ARCHIVE):,} bytes"):
        get()
    assert len(server.asked) == 5


def test_a_file_announced_too_short_does_not_verify(get: Callable[..., Path], server: Server, part: Path) -> None:
    server.usual = Answer(length=HALF)
    with pytest.raises(DownloadError, match=r"no sound zip archive.*The download was deleted"):
        get()
    assert files(part.parent) == set()


def test_a_flipped_byte_does_not_verify(get: Callable[..., Path], server: Server, part: Path) -> None:
    damaged = bytearray(ARCHIVE)
    damaged[HALF - 9] ^= 1
    server.usual = Answer(body=bytes(damaged))
    with pytest.raises(DownloadError, match=r"damaged at id\d/images/id\d\.png.*The download was deleted"):
        get()
    assert files(part.parent) == set()


def test_too_few_images_do_not_verify(get: Callable[..., Path]) -> None:
    with pytest.raises(DownloadError, match="holds 3 images with masks, expected 670"):
        get(expected_images=670)


def test_another_archive_does_not_verify(get: Callable[..., Path], server: Server) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    server.usual = Answer(body=buffer.getvalue())
    with pytest.raises(DownloadError, match="is not the training set"):
        get()


def test_another_file_than_the_recorded_one_is_an_error(get: Callable[..., Path], server: Server) -> None:
    get().unlink()
    server.usual = Answer(body=make_archive(seed=1))
    with pytest.raises(DownloadError, match="another version; delete the record to accept it"):
        get()


def test_a_web_page_instead_of_the_file_is_an_error_and_costs_no_byte_that_is_there(
    get: Callable[..., Path], server: Server, part: Path
) -> None:
    page = Answer(body=b"<html>log in</html>", etag=None, headers=(("Content-Type", "text/html"),))
    server.answers += [Answer(cut_after=HALF), page]
    with pytest.raises(DownloadError, match="a web page came instead"):
        get()
    assert part.stat().st_size == HALF


def test_a_file_that_is_not_there_is_an_error_that_says_how_to_go_on(get: Callable[..., Path], server: Server) -> None:
    server.usual = Answer(status=404)
    with pytest.raises(DownloadError, match=r"answered 404.*put a stage1_train\.zip you have"):
        get()
    assert len(server.asked) == 1


def test_too_little_space_is_an_error_before_the_first_byte(
    get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr("nucleus_unet.data.fetch.shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DownloadError, match=r"disk of .* is full\. 0\.1 MB more are needed\. Free some space"):
        get()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_up_is_an_error(get: Callable[..., Path], part: Path) -> None:
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"is full\. Free some space") as raised:
        get()
    assert isinstance(raised.value.__cause__, OSError)
    assert raised.value.__cause__.errno == errno.ENOSPC


def kaggle_key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KAGGLE_USERNAME", "ada")
    monkeypatch.setenv("KAGGLE_KEY", "secret")
    return "Basic YWRhOnNlY3JldA=="


def test_kaggle_gets_the_key_from_the_environment(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = kaggle_key(monkeypatch)
    get(source="kaggle")
    assert server.asked[0].authorization == key


def test_kaggle_gets_the_key_from_its_file(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "kaggle.json").write_text('{"username": "ada", "key": "secret"}')
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    get(source="kaggle")
    assert server.asked[0].authorization == "Basic YWRhOnNlY3JldA=="


@pytest.mark.parametrize("content", [None, "secret", "[]", '{"username": "ada", "kee": "secret"}'])
def test_without_a_kaggle_key_the_error_says_where_to_get_one_and_does_not_quote_it(
    get: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "kaggle.json").write_text(content)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    with pytest.raises(DownloadError, match=r"kaggle\.json.*https://www\.kaggle\.com/settings") as raised:
        get(source="kaggle")
    assert "secret" not in str(raised.value)


def test_bbbc_gets_no_key(get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    kaggle_key(monkeypatch)
    get()
    assert server.asked[0].authorization is None


@pytest.mark.parametrize(("status", "advice"), [(401, "make a new one"), (403, "accept the competition's rules")])
def test_when_kaggle_refuses_the_error_says_what_to_do(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    kaggle_key(monkeypatch)
    server.usual = Answer(status=status)
    with pytest.raises(DownloadError, match=f"answered {status}.*{advice}") as raised:
        get(source="kaggle")
    assert "secret" not in str(raised.value)
    assert len(server.asked) == 1


def redirect(url: str) -> Answer:
    return Answer(status=302, etag=None, headers=(("Location", url),))


def test_a_redirect_to_another_host_does_not_get_the_key(
    get: Callable[..., Path], server: Server, other_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = kaggle_key(monkeypatch)
    server.usual = redirect(f"{other_server.url}/signed?token=1")
    other_server.answers.append(Answer(cut_after=HALF))
    assert get(source="kaggle").read_bytes() == ARCHIVE
    assert [asked.authorization for asked in server.asked] == [key, key]
    assert [asked.authorization for asked in other_server.asked] == [None, None]
    assert other_server.asked[1].range == f"bytes={HALF}-"


def test_a_redirect_to_the_same_host_keeps_the_key(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = kaggle_key(monkeypatch)
    server.answers.append(redirect("/elsewhere.zip"))
    get(source="kaggle")
    assert [(asked.path, asked.authorization) for asked in server.asked] == [
        ("/stage1_train.zip", key),
        ("/elsewhere.zip", key),
    ]


def test_a_key_lost_on_the_way_does_not_come_back(
    get: Callable[..., Path], server: Server, other_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle_key(monkeypatch)
    server.answers.append(redirect(f"{other_server.url}/a.zip"))
    other_server.answers.append(redirect(f"{other_server.url}/b.zip"))
    get(source="kaggle")
    assert [asked.authorization for asked in other_server.asked] == [None, None]


@pytest.mark.parametrize(
    ("option", "value"), [("source", "elsewhere"), ("base_url", "file:///tmp"), ("base_url", "example.org")]
)
def test_settings_that_are_not_understood_are_refused(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{option}: expected"):
        download(tmp_path, **{option: value})  # type: ignore[arg-type]


def test_the_real_archive_verifies_but_for_its_number_of_images(real_data: Path) -> None:
    archive = real_data / "dsb2018" / "stage1_train.zip"
    module._verify_archive(archive, 615)
    with pytest.raises(DownloadError, match="holds 615 images with masks, expected 670"):
        module._verify_archive(archive, 670)
