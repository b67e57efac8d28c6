"""No two images have results of one name, on any file system."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.batch.names import absolute, choose_names
from nucleus_unet.exports.names import FORMATS

SUFFIXES = [each.suffixes[0] for each in FORMATS.values()]


def chosen(*relative: str, folder: str = "in") -> list[str]:
    images = [(Path(folder, name), Path(name)) for name in relative]
    return [name.as_posix() for name in choose_names(images, suffixes=SUFFIXES)]


def test_results_have_the_name_of_the_image_without_its_suffix() -> None:
    assert chosen("a.tif", "deep/b.ome.tif") == ["a", "deep/b.ome"]


@pytest.mark.parametrize(
    "names",
    [
        ("a.tif", "a.tiff"),
        ("a.tif", "a.png", "a.jpg"),
        ("Image1.tif", "image1.png"),
        ("e\u0301.tif", "\u00e9.png"),
        ("stra\u00dfe.tif", "STRASSE.png"),
    ],
)
def test_images_that_would_share_a_name_all_get_their_whole_file_name(names: tuple[str, ...]) -> None:
    assert chosen(*names) == list(names)


@pytest.mark.parametrize(
    "names",
    [
        ("a.tif", "A.tif"),
        ("a.tif", "a.TIF"),
        ("e\u0301.tif", "\u00e9.tif"),
        ("A/x.tif", "a/x.tif"),
        ("a:b.tif", "a?b.tif"),
        ("a .tif", "a.tif"),
        ("x" * 250 + ".tif", "x" * 251 + ".tif"),
        ("\u212b.tif", "\u00c5.tif"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_told_apart(names: tuple[str, ...]) -> None:
    assert_apart(chosen(*names))


def test_the_same_names_in_two_folders_get_the_folder_as_well() -> None:
    images = [(Path("/data/day1/a.tif"), Path("a.tif")), (Path("/data/day2/a.tif"), Path("a.tif"))]
    assert choose_names(images, suffixes=SUFFIXES) == [Path("day1/a.tif"), Path("day2/a.tif")]


def test_the_order_of_images_and_other_images_do_not_change_a_name() -> None:
    few, many = ["b.tif", "a.png", "a.tif"], ["a.tif", "0.tif", "a.png", "c/a.tif", "b.tif"]
    names = dict(zip(many, chosen(*many), strict=True))
    assert chosen(*few) == [names[each] for each in few]


@pytest.mark.parametrize(
    "name", ["con.tif", "AUX.png", "nul.tar.tif", "com1.tif", "LPT9.tif", "prn/a.tif", "deep/aux.tif"]
)
def test_names_that_windows_keeps_for_devices_are_changed(name: str) -> None:
    (result,) = chosen(name)
    assert all(
        part.partition(".")[0].lower() not in ("con", "aux", "nul", "com1", "lpt9", "prn") for part in result.split("/")
    )


@pytest.mark.parametrize("name", ["a:b*c?.tif", 'a"<b>|.tif', "a\\b.tif", "a\nb.tif", "a. .tif", "dir./a.tif"])
def test_characters_that_windows_refuses_are_replaced(name: str) -> None:
    (result,) = chosen(name)
    assert not set(result) & set('<>:"|?*\\\n')
    assert all(part == part.rstrip(". ") for part in result.split("/"))


@pytest.mark.parametrize("stem", ["x" * 252, "\u00e9" * 126, "\U0001f52c" * 62, "e\u0301" * 80])
def test_names_leave_room_for_the_longest_suffix(stem: str) -> None:
    (result,) = chosen(f"{stem}.ti")
    assert len((result + max(SUFFIXES, key=len)).encode()) <= 255
    assert result.encode().decode() == result


def test_a_result_never_has_the_name_of_a_folder_of_others() -> None:
    assert chosen("a.png", "a.tif/x.png") == ["a.png", "a.tif/x"]


def test_a_result_never_has_the_name_of_another_result_with_a_longer_suffix() -> None:
    names = chosen("a.png", "a.rle.png")
    assert len({name + suffix for name in names for suffix in SUFFIXES}) == 2 * len(SUFFIXES)


def test_a_name_that_is_reserved_is_not_given() -> None:
    images = [(Path("in/summary.tif"), Path("summary.tif"))]
    assert choose_names(images, suffixes=SUFFIXES, reserved=["summary.csv"]) == [Path("summary.tif")]


def test_a_name_that_was_given_before_stays_when_files_are_added() -> None:
    images = [(Path("in", name), Path(name)) for name in ("a.png", "a.tif")]
    kept = {absolute(Path("in/a.png")): Path("a")}
    assert choose_names(images, suffixes=SUFFIXES, kept=kept) == [Path("a"), Path("a.tif")]


PARTS = st.text(st.sampled_from("aAbB\u00e9\u00c9e\u0301.:? "), min_size=1, max_size=4).map(lambda part: f"x{part}y")
NAMES = st.builds(
    lambda parts, suffix: "/".join(parts) + suffix,
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from((".tif", ".TIF", ".png", ".rle.png")),
)


@given(st.lists(NAMES, unique=True, max_size=12))
def test_names_are_always_apart_and_the_same_for_any_order(names: list[str]) -> None:
    once = chosen(*names)
    assert_apart(once)
    assert chosen(*reversed(names)) == once[::-1]


def assert_apart(names: list[str]) -> None:
    """By an oracle of its own: a file system that folds case and normalises, in the other order than the code does."""
    folded = [unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).lower()) for name in names]
    files = [name + suffix for name in folded for suffix in SUFFIXES]
    assert len(set(files)) == len(files)
    folders = {str(parent) for name in folded for parent in Path(name).parents}
    assert folders.isdisjoint(files)
