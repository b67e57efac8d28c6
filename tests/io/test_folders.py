"""Walking through folders of people's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from nucleus_unet.io.folders import BY_SYSTEM, CIRCLE, HIDDEN, NOWHERE, TWICE, walk


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"content")
    return folder


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in walk(folder).paths]


def reasons(folder: Path) -> dict[str, str]:
    return {each.path.relative_to(folder).as_posix(): each.reason for each in walk(folder).passed_over}


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    assert names(make(tmp_path, "b.tif", "a/z.tif", "a.tif", "a/b/c.tif")) == ["a/b/c.tif", "a/z.tif", "a.tif", "b.tif"]


@pytest.mark.parametrize("name", ["._a.tif", ".DS_Store", ".hidden/a.tif", ".ipynb_checkpoints/a-checkpoint.tif"])
def test_hidden_files_and_what_hidden_folders_hold_are_passed_over(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.tif", name)
    assert names(tmp_path) == ["a.tif"]
    assert set(reasons(tmp_path).values()) == {HIDDEN}


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "thumbs.db", "desktop.ini", "__MACOSX/a.tif", "@eaDir/a.tif", "$RECYCLE.BIN/x.tif", "~$a.tif"]
)
def test_what_systems_leave_in_folders_is_passed_over(tmp_path: Path, name: str) -> None:
    make(tmp_path, "a.tif", name)
    assert names(tmp_path) == ["a.tif"]
    assert set(reasons(tmp_path).values()) == {BY_SYSTEM}


def test_a_folder_that_is_hidden_itself_is_searched_if_it_is_named(tmp_path: Path) -> None:
    assert names(make(tmp_path / ".cache", "a.tif")) == ["a.tif"]


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "x.tif", "deep/y.tif")
    folder = make(tmp_path / "in", "a.tif")
    (folder / "day1").symlink_to(store)
    (folder / "b.tif").symlink_to(make(tmp_path / "other", "z.tif") / "z.tif")
    assert names(folder) == ["a.tif", "b.tif", "day1/deep/y.tif", "day1/x.tif"]


def test_links_to_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "store", "x.tif")
    (tmp_path / "middle").mkdir()
    (tmp_path / "middle" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "middle")
    assert names(tmp_path / "in") == ["link/link/x.tif"]


@pytest.mark.parametrize("target", [".", "..", "deep", "deep/deeper", "/"])
def test_links_in_a_circle_or_to_what_is_searched_anyway_are_told_and_not_followed(tmp_path: Path, target: str) -> None:
    folder = make(tmp_path / "in", "deep/deeper/a.tif")
    (folder / "deep" / "link").symlink_to(os.path.normpath(folder / target))
    assert names(folder) == ["deep/deeper/a.tif"]
    assert reasons(folder) == {"deep/link": CIRCLE}


def test_links_that_cross_each_other_end(tmp_path: Path) -> None:
    for number in range(6):
        make(tmp_path / f"{number}", "a.tif")
    for one in range(6):
        for other in range(6):
            (tmp_path / f"{one}" / f"to-{other}").symlink_to(tmp_path / f"{other}")
    assert len(names(tmp_path / "0")) == 6


def test_a_file_keeps_its_own_name_however_a_link_to_it_is_called(tmp_path: Path) -> None:
    folder = make(tmp_path, "m.tif", "z/a.tif")
    (folder / "a.tif").symlink_to(folder / "m.tif")
    (folder / "b").symlink_to(folder / "z")
    assert names(folder) == ["m.tif", "z/a.tif"]
    assert reasons(folder) == {"a.tif": TWICE, "b": CIRCLE}


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to(tmp_path / "gone.tif")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert reasons(tmp_path) == {"a.tif": NOWHERE, "self": NOWHERE}


def test_a_folder_that_counts_as_a_file_is_not_searched(tmp_path: Path) -> None:
    make(tmp_path, "a.zarr/0/0", "b.tif")
    assert [path.name for path in walk(tmp_path, whole=lambda path: path.suffix == ".zarr").paths] == [
        "a.zarr",
        "b.tif",
    ]


def test_the_depth_can_be_bounded(tmp_path: Path) -> None:
    make(tmp_path, "a", "1/b", "1/2/c", "1/2/3/d")
    assert len(walk(tmp_path, depth=2).paths) == 3


def test_a_deep_tree_is_no_reason_to_fail(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["d"] * 300)
    folder.mkdir(parents=True)
    (folder / "a.tif").write_bytes(b"")
    assert len(walk(tmp_path).paths) == 1


def test_files_can_be_listed_under_each_of_their_names(tmp_path: Path) -> None:
    folder = make(tmp_path / "set", "images/a.png", "images/b.png", "masks/empty.png")
    for name in "ab":
        (folder / "masks" / f"{name}.png").symlink_to(folder / "masks" / "empty.png")
    (folder / "copy").symlink_to(folder / "images")
    (folder / "images" / "up").symlink_to(folder)
    found = walk(folder, depth=3, again=True)
    assert [path.relative_to(folder).as_posix() for path in found.paths] == [
        *("copy/a.png", "copy/b.png", "images/a.png", "images/b.png"),
        *("masks/a.png", "masks/b.png", "masks/empty.png"),
    ]
