from __future__ import annotations

import http.client
import io
import json
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.slide_results import LABELS, PICTURE, written
from nucleus_unet import _core, view
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.parquet import TableWriter, read_table
from nucleus_unet.slides.source import SlideSource
from nucleus_unet.viewer import Viewer
from numpy.typing import NDArray


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a slide of 16 bits with 302 nuclei, and of cells that reach 4 pixels further."""
    folder = tmp_path_factory.mktemp("slide")
    run = written(folder / "out")
    tifffile.imwrite(folder / "slide.tif", PICTURE.astype(np.uint16) * 100, tile=(256, 256), compression="zlib")
    SlideSource(str(folder / "slide.tif")).write(run.folder)
    table = run.folder / "nuclei.parquet"
    parts = list(read_table(table))
    with table.open("wb") as file, TableWriter(file, notes={"measures": '{"expand": 4.0}'}) as writer:
        for part in parts:
            writer.add(part)
    return run.folder


@pytest.fixture(scope="module")
def viewer(slide: Path) -> Iterator[Viewer]:
    with view(slide) as served:
        yield served


def get(viewer: Viewer, path: str, *, host: str | None = None, whole: bool = False, method: str = "GET") -> Got:
    """Ask for a path after the token; ``whole`` takes the path as it is."""
    address = urlsplit(viewer.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=20)
    try:
        headers = {} if host is None else {"Host": host}
        connection.request(method, path if whole else address.path + path, headers=headers)
        answer = connection.getresponse()
        return Got(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def labels_of(answer: Got) -> NDArray[np.uint32]:
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "deflate")
    labels = np.frombuffer(zlib.decompress(answer.content), "<u4").reshape(514, 514)
    return labels.astype(np.uint32)


def test_only_this_machine_is_listened_to(viewer: Viewer) -> None:
    assert urlsplit(viewer.url).hostname == "127.0.0.1"
    assert viewer._server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/images", "/wrong/images", "/%00/images", "/../images"])
def test_without_the_token_there_is_nothing(viewer: Viewer, path: str) -> None:
    answer = get(viewer, path, whole=True)
    assert (answer.status, "token" in answer.json["error"]) == (403, True)


def test_two_viewers_have_two_tokens(viewer: Viewer, slide: Path) -> None:
    with view(slide) as other:
        tokens = {urlsplit(each.url).path for each in (viewer, other)}
    assert len(tokens) == 2
    assert all(len(each) >= 32 for each in tokens)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "192.168.0.1"])
def test_a_request_for_another_host_name_is_refused(viewer: Viewer, host: str) -> None:
    assert get(viewer, "images", host=host).status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:80"])
def test_this_machine_is_known_by_its_names_and_through_a_tunnel(viewer: Viewer, host: str) -> None:
    assert get(viewer, "images", host=host).status == 200


def test_the_page_may_load_nothing_from_elsewhere(viewer: Viewer) -> None:
    policy = get(viewer, "").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe", policy)


def test_no_file_of_the_page_names_another_origin() -> None:
    for file in (resources.files("nucleus_unet.viewer") / "page").iterdir():
        assert not re.search(r"(?:https?:|wss?:)?//[\w.]+\.\w", file.read_text(encoding="utf-8")), file.name


def test_what_is_no_address_is_told(viewer: Viewer) -> None:
    assert get(viewer, "http://[", whole=True, host="localhost").status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(viewer: Viewer, method: str) -> None:
    assert get(viewer, "images", method=method).status == 501


@pytest.mark.parametrize(
    "path",
    [
        "nothing", "../../etc/passwd", "page/index.html", "image/1", "image/-1", "image/99999999999",
        "image/0/picture/0/0/9", "image/0/picture/9/0/0", "image/0/picture/0/0/0?channels=3,0,1,ffffff",
        "image/0/picture/0/0/0?channels=0,nan,1,ffffff", "image/0/picture/0/0/0?channels=0,1e999,1,ffffff",
        "image/0/picture/0/0/0?channels=0,-1e308,1,ffffff",
        "image/0/labels/0/9/0", "image/0/labels/0/0", "image/0/column/geometry", "image/0/column/nothing",
        "image/0/nucleus/0", "image/0/nucleus/99999", "image/0/nucleus/-1",
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(viewer: Viewer, path: str) -> None:
    answer = get(viewer, path)
    assert (answer.status, list(answer.json)) == (404, ["error"])


def test_the_list_holds_the_count(viewer: Viewer) -> None:
    (row,) = get(viewer, "images").json["images"]
    assert row == {"number": 0, "name": "out", "nuclei": int(LABELS.max()), "problem": ""}


def test_the_facts_of_an_image_of_16_bits(viewer: Viewer) -> None:
    facts = get(viewer, "image/0").json
    (channel,) = facts["channels"]
    assert (facts["height"], facts["width"], facts["pixel_size"], facts["problems"]) == (*LABELS.shape, 0.25, [])
    assert (channel["least"], channel["most"]) == (2000, 20000)
    assert 2000 <= channel["low"] < channel["high"] <= 20000


@pytest.mark.parametrize(("low", "high"), [(0, 65535), (2000, 7000)])
def test_the_contrast_of_a_tile_is_the_one_asked_for(viewer: Viewer, low: int, high: int) -> None:
    answer = get(viewer, f"image/0/picture/0/1/2?channels=0,{low},{high},ffffff")
    tile = imagecodecs.jpeg8_decode(answer.content).astype(int)
    truth = np.clip((PICTURE[512:1024, 1024:1536] * 100.0 - low) / (high - low), 0, 1) * 255
    assert tile.shape == (512, 512, 3)
    assert np.abs(tile - truth[..., None]).mean() < 2


def test_a_channel_is_shown_in_its_colour(viewer: Viewer) -> None:
    answer = get(viewer, "image/0/picture/0/0/0?channels=0,0,20000,00ff00")
    means = imagecodecs.jpeg8_decode(answer.content).astype(float).mean(axis=(0, 1))
    assert means[1] > 20 > means[0] + means[2]


def test_a_tile_at_the_edge_is_as_small_as_the_image(viewer: Viewer) -> None:
    answer = get(viewer, "image/0/picture/0/2/4?channels=0,0,20000,ffffff")
    assert imagecodecs.jpeg8_decode(answer.content).shape[:2] == (1300 - 1024, 2100 - 2048)


@pytest.mark.parametrize(("level", "row", "column"), [(0, 0, 0), (0, 1, 2), (0, 2, 4), (1, 1, 1), (2, 0, 1), (3, 0, 0)])
def test_a_tile_of_labels_has_them_with_a_margin(viewer: Viewer, level: int, row: int, column: int) -> None:
    truth = np.pad(LABELS[:: 2**level, :: 2**level], [(1, 600), (1, 600)])
    expected = truth[row * 512 : row * 512 + 514, column * 512 : column * 512 + 514]
    np.testing.assert_array_equal(labels_of(get(viewer, f"image/0/labels/{level}/{row}/{column}")), expected)


def test_cells_are_nuclei_and_what_is_near(viewer: Viewer) -> None:
    truth = np.pad(_core.expand_labels(LABELS, 4.0), 1)[512 : 512 + 514, 1024 : 1024 + 514]
    np.testing.assert_array_equal(labels_of(get(viewer, "image/0/cells/0/1/2")), truth)


def test_a_column_is_by_label(viewer: Viewer) -> None:
    column = np.frombuffer(get(viewer, "image/0/column/area").content, "<f4")
    assert np.isnan(column[0])
    np.testing.assert_array_equal(column[1:], np.bincount(LABELS.ravel())[1:])


def test_the_row_of_a_nucleus_is_that_of_the_table(viewer: Viewer) -> None:
    rows, columns = np.nonzero(LABELS == 77)
    row = get(viewer, "image/0/nucleus/77").json
    assert (row["label"], row["area"], row["top"], row["right"]) == (77, len(rows), rows.min(), columns.max() + 1)
    assert row["column"] == pytest.approx(columns.mean())


def test_several_browsers_get_the_same_at_the_same_time(viewer: Viewer) -> None:
    paths = [f"image/0/{kind}/{level}/0/0" for level in range(4) for kind in ("labels", "cells")] * 3
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda path: get(viewer, path).content, paths))
    assert answers[:8] == answers[8:16] == answers[16:]


def test_a_damaged_tile_is_one_sentence(tmp_path: Path) -> None:
    run = written(tmp_path / "out")
    content = io.BytesIO()
    tifffile.imwrite(content, PICTURE, tile=(256, 256), compression="zlib")
    with tifffile.TiffFile(io.BytesIO(content.getvalue())) as file:
        offset = file.pages.first.dataoffsets[0]
    damaged = bytearray(content.getvalue())
    damaged[offset : offset + 40] = bytes(40)
    (tmp_path / "slide.tif").write_bytes(damaged)
    SlideSource(str(tmp_path / "slide.tif")).write(run.folder)
    with view(run.folder) as served:
        assert "damaged" in get(served, "image/0/picture/0/0/0?channels=0,0,255,ffffff").json["error"]
        assert get(served, "image/0/picture/0/1/1?channels=0,0,255,ffffff").status == 200


def test_a_port_that_is_taken_is_one_sentence(viewer: Viewer, slide: Path) -> None:
    port = urlsplit(viewer.url).port
    assert port is not None
    with pytest.raises(SettingsError, match=f"another program uses port {port}"):
        view(slide, port=port)


@pytest.mark.parametrize("port", [-1, 65536, True, "80"])
def test_a_port_is_a_number_of_a_port(slide: Path, port: Any) -> None:
    with pytest.raises(SettingsError, match="port: expected 0 to 65535"):
        view(slide, port=port)


def test_a_stopped_viewer_answers_no_more_and_can_be_stopped_again(slide: Path) -> None:
    viewer = view(slide)
    assert get(viewer, "images").status == 200
    viewer.stop()
    viewer.stop()
    with pytest.raises(ConnectionRefusedError):
        get(viewer, "images")
