"""Exploring a labelled set: measurements, kinds, what looks wrong, and the page."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers.images import draw_discs
from helpers.pages import NASTY, Page
from helpers.paths import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from nucleus_unet.cli.sets import SetOptions, read_reported_sets
from nucleus_unet.data.dataset import Example, ReadReport
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exploration import explore, write_page
from nucleus_unet.exploration.clustering import cluster_images
from nucleus_unet.exploration.contact_sheet import choose_images, thumbnail
from nucleus_unet.exploration.data_checks import ProblemType
from nucleus_unet.exploration.nucleus_statistics import compute_nucleus_statistics
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import regionprops

label_images = arrays.arrays(
    np.uint32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 4)
)
labels_of_blobs = st.one_of(label_images, label_images.map(lambda labels: np.kron(labels, np.ones((3, 3), np.uint32))))


def noise(labels: NDArray[np.uint32]) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(labels.shape).astype(np.float32)


def in_order(labels: NDArray[np.uint32]) -> list[int]:
    """Labels by raster order of their first pixels."""
    return [int(value) for value in dict.fromkeys(labels.ravel().tolist()) if value]


@given(labels_of_blobs)
def test_areas_intensities_and_eccentricities_are_scikit_images(labels: NDArray[np.uint32]) -> None:
    nuclei = compute_nucleus_statistics(labels, noise(labels))
    regions = {region.label: region for region in regionprops(labels.astype(int), noise(labels))}
    assert nuclei.area.tolist() == [regions[label].area for label in in_order(labels)]
    for measured, name in [
        (nuclei.diameter, "equivalent_diameter_area"),
        (nuclei.eccentricity, "eccentricity"),
        (nuclei.intensity, "intensity_mean"),
    ]:
        np.testing.assert_allclose(measured, [regions[label][name] for label in in_order(labels)], atol=2e-3)


@given(labels_of_blobs)
def test_solidity_is_the_share_of_the_convex_hull_of_the_pixels_squares(labels: NDArray[np.uint32]) -> None:
    expected = []
    for label in in_order(labels):
        pixels = np.argwhere(labels == label)
        corners = (pixels[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).reshape(-1, 2)
        expected.append(len(pixels) / ConvexHull(corners).volume)
    np.testing.assert_allclose(compute_nucleus_statistics(labels, noise(labels)).solidity, expected)


@given(labels_of_blobs)
def test_neighbours_are_the_nuclei_that_one_more_pixel_all_around_would_reach(labels: NDArray[np.uint32]) -> None:
    expected = []
    for label in in_order(labels):
        reached = labels[ndimage.binary_dilation(labels == label, np.ones((3, 3)))]
        expected.append(len(set(reached.tolist()) - {0, label}))
    assert compute_nucleus_statistics(labels, noise(labels)).neighbours.tolist() == expected


@given(labels_of_blobs)
def test_pieces_are_scipys(labels: NDArray[np.uint32]) -> None:
    expected = [ndimage.label(labels == label, np.ones((3, 3)))[1] for label in in_order(labels)]
    assert compute_nucleus_statistics(labels, noise(labels)).pieces.tolist() == expected


@given(labels_of_blobs)
def test_a_lone_nucleus_has_the_holes_that_scipy_fills(labels: NDArray[np.uint32]) -> None:
    lone = (labels == 1).astype(np.uint32)
    expected = [(ndimage.binary_fill_holes(lone) & (lone == 0)).sum()] if lone.any() else []
    assert compute_nucleus_statistics(lone, noise(lone)).hole_pixels.tolist() == expected


def test_contrast_is_against_the_background_at_most_three_pixels_away() -> None:
    labels = np.zeros((30, 40), np.uint32)
    labels[10:16, 5:12], labels[10:16, 20:26] = 7, 3
    grey = noise(labels)
    expected = []
    for label in (7, 3):
        ring = (labels == 0) & (ndimage.distance_transform_edt(labels != label) <= 3)
        expected.append(grey[labels == label].mean() - grey[ring].mean())
    np.testing.assert_allclose(compute_nucleus_statistics(labels, grey).contrast, expected, rtol=1e-5)


def test_a_nucleus_without_background_around_it_has_no_contrast() -> None:
    labels = np.ones((4, 4), np.uint32)
    assert np.isnan(compute_nucleus_statistics(labels, noise(labels)).contrast).all()


def test_eccentricity_does_not_depend_on_where_in_a_large_image_a_nucleus_lies() -> None:
    labels = np.zeros((20, 30_000), np.uint32)
    rows, columns = np.mgrid[-8:9, -8:9]
    ellipse = (rows / 4) ** 2 + (columns / 8) ** 2 <= 1
    for label, left in enumerate((0, 29_900), 1):
        labels[1:18, left : left + 17][ellipse] = label
    near, far = compute_nucleus_statistics(labels, noise(labels)).eccentricity
    assert near == pytest.approx(far, abs=1e-6)


def example(
    name: str, discs: list[tuple[int, int, int]], *, kind: str = "set", colour: NDArray[np.int_] | None = None
) -> Example:
    labels = np.zeros((60, 80), np.uint32)
    rows, columns = np.ogrid[:60, :80]
    for label, (row, column, radius) in enumerate(discs, 1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = label
    image = draw_discs((60, 80), discs) + np.uint8(len(name))
    if colour is not None:
        image = (255 - image[..., None] * colour // 255).astype(np.uint8)
    return Example(name, kind, image, labels, name)


DISCS = [(20, 20, 8), (40, 60, 9)]
PURPLE = np.array([120, 255, 60])


def test_images_of_one_kind_are_sorted_into_kinds_by_their_look() -> None:
    dark = [example("d" * number, DISCS[:number]) for number in (1, 2)] + [example("ddd", [(30, 30, 9)])]
    stained = [example("s" * number, DISCS[:number], colour=PURPLE) for number in (1, 2)]
    exploration = explore([dark[0], stained[0], *dark[1:], stained[1]])
    assert exploration.categories_are_clusters
    a, b = "A: grey on dark", "B: coloured on light"
    assert exploration.categories == [a, b, a, a, b]


def test_kinds_that_the_examples_name_are_kept() -> None:
    exploration = explore([example("a", DISCS, kind="x"), example("b", DISCS, kind="y")])
    assert not exploration.categories_are_clusters
    assert exploration.categories == ["x", "y"]


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 5, st.one_of(st.just(float("nan")), st.floats(0, 2))), min_size=1))
def test_every_image_has_a_kind_and_equal_looks_have_the_same(looks: list[tuple[float, ...]]) -> None:
    kinds = cluster_images([*looks, looks[0]])  # type: ignore[arg-type, list-item]
    assert len(kinds) == len(looks) + 1
    assert kinds[0] == kinds[-1]


def faults(examples: list[Example], report: ReadReport | None = None) -> dict[ProblemType, dict[str, str]]:
    found: dict[ProblemType, dict[str, str]] = {}
    for problem in explore(examples, report=report).problems:
        found.setdefault(problem.type, {})[problem.image] = problem.detail
    return found


def test_a_set_in_order_has_no_problems() -> None:
    assert explore([example("a", DISCS), example("bb", DISCS)]).problems == []


def test_what_looks_wrong_in_masks_is_named_with_its_image_and_size() -> None:
    names = ("holes", "pieces", "nothing", "one speck")
    holes, pieces, nothing, speck = (example(name, DISCS) for name in names)
    holes.labels[19:21, 20:22] = 0
    pieces.labels[50:55, 10:15] = 1
    nothing.labels[:] = 0
    speck.labels[58, 70:73] = 3
    assert faults([holes, pieces, nothing, speck]) == {
        ProblemType.HOLE: {"holes": "1 nucleus: 4 pixels"},
        ProblemType.PIECES: {"pieces": "1 nucleus in up to 2 pieces"},
        ProblemType.NO_NUCLEI: {"nothing": "0 nuclei"},
        ProblemType.SPECK: {"one speck": "1 speck: 3 pixels"},
    }


@pytest.mark.parametrize(("side", "specks"), [(28, 0), (29, 1)])  # 16 x 50 = 800 pixels
def test_among_large_nuclei_larger_ones_are_specks(side: int, specks: int) -> None:
    labels = np.zeros((60, 80), np.uint32)
    labels[:side, :side], labels[-side:, -side:], labels[:4, -4:] = 1, 2, 3
    assert len(faults([Example("a", "set", labels.astype(np.uint8), labels, "a")])) == specks


def test_duplicates_are_told_with_whether_their_masks_agree() -> None:
    first, same, other = (example(name, DISCS) for name in ("abc", "xyz", "pqr"))
    other.labels[other.labels == 2] = 0
    assert faults([first, same, other]) == {
        ProblemType.DUPLICATE: {
            "xyz": "same as abc, with the same masks",
            "pqr": "same as abc, with different masks",
        }
    }


def test_flat_images_are_named() -> None:
    flat = Example("flat", "set", np.full((9, 9), 7, np.uint8), np.eye(9, dtype=np.uint32), "flat")
    assert ProblemType.CONSTANT in faults([flat])


def test_what_reading_met_is_listed_too() -> None:
    report = ReadReport(1, 2, {"a": 6}, {"b": 1}, {"c": 2}, {"d": "damaged"}, {"e": "1: no area"}, {"f": 0.25})
    assert faults([example("a", DISCS)], report) == {
        ProblemType.UNREADABLE: {"d": "damaged"},
        ProblemType.EMPTY_MASK: {"b": "1 mask"},
        ProblemType.OVERLAP: {"a": "6 pixels"},
        ProblemType.HIDDEN_MASK: {"c": "2 masks"},
        ProblemType.UNUSABLE_MASK: {"e": "1: no area"},
        ProblemType.PARTLY_ANNOTATED: {"f": "25% of the pixels count"},
    }


def test_reports_of_several_sets_name_images_after_their_set(tmp_path: Path) -> None:
    for name in ("one", "two"):
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
        for part, stem in (("images", "a"), ("masks", "a"), ("images", "bare")):
            (tmp_path / name / part / f"{stem}.png").write_bytes(imagecodecs.png_encode(np.eye(9, dtype=np.uint8)))
    examples, report = read_reported_sets([tmp_path / "one", tmp_path / "two"], SetOptions(), name_by_set=True)
    assert [each.name for each in examples] == ["one/a", "two/a"]
    assert (report.images, report.nuclei, set(report.skipped)) == (2, 2, {"one/bare", "two/bare"})


def test_no_examples_are_refused() -> None:
    with pytest.raises(DataError, match="at least one image"):
        explore([])


ODD = [
    example(NASTY, DISCS, kind="<i>odd</i>"),
    Example("16 bit", "b", np.arange(400, dtype=np.uint16).reshape(20, 20), np.zeros((20, 20), np.uint32), "m"),
    Example("pixel", "c", np.ones((1, 1), np.uint8), np.ones((1, 1), np.uint32), "m"),
    Example("strip", "c", np.ones((1, 2000, 3), np.uint8), np.ones((1, 2000), np.uint32), "n"),
]


@pytest.fixture(scope="module")
def odd_page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_page(explore(ODD), tmp_path_factory.mktemp("page") / "new" / "odd.html", title="a <b>").read_bytes()


def test_the_page_is_whole_escaped_and_needs_no_network(odd_page: bytes) -> None:
    text = odd_page.decode()
    page = Page(text)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "i", "link", "iframe"})
    assert NASTY in page.text
    assert "<i>odd</i>" in page.text
    pictures = [source for source in page.sources if source != "#problems"]
    assert len(pictures) == len(ODD) + 8
    for source in pictures:
        media_type, _, content = source.removeprefix("data:").partition(";base64,")
        decoded = base64.b64decode(content, validate=True)
        if media_type == "image/jpeg":
            assert imagecodecs.jpeg8_decode(decoded).ndim == 3
        else:
            assert media_type == "image/svg+xml"
            assert b"<svg" in decoded
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_says_what_there_is(odd_page: bytes) -> None:
    text = odd_page.decode()
    assert re.findall(r"<b>(\d+)</b>([a-z ]+)", text) == [
        ("4", "images"),
        ("4", "nuclei"),
        ("3", "categories"),
        ("3", "fields or patients"),
    ]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    assert ["1 x 2000", "colour", "uint8", "1"] in rows
    assert ["16 bit", "0 nuclei"] in rows


def test_an_equal_set_gives_an_equal_page(odd_page: bytes, tmp_path: Path) -> None:
    assert write_page(explore(ODD, threads=1), tmp_path / "again.html", title="a <b>").read_bytes() == odd_page


def test_more_kinds_than_colours_are_drawn_together(tmp_path: Path) -> None:
    many = [example("i" * number, DISCS, kind=f"kind {number}") for number in range(1, 11)]
    assert "other categories" in write_page(explore(many), tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_never_takes_the_place_of_data(tmp_path: Path) -> None:
    exploration = explore(ODD[1:2])
    for path in (tmp_path, tmp_path / "set.zip"):
        with pytest.raises(SettingsError, match=r"ends in \.html"):
            write_page(exploration, path)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 12))
def test_the_contact_sheet_shows_the_sparsest_and_the_most_crowded(counts: list[int], most: int) -> None:
    chosen = choose_images(counts, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(counts))
    shown = [counts[position] for position in chosen]
    assert shown == sorted(shown)
    assert shown[0] == min(counts)
    if len(shown) > 1:
        assert shown[-1] == max(counts)


@pytest.mark.parametrize(("shape", "small"), [((320, 100), (320, 100)), ((321, 100), (161, 50)), ((1, 2000), (1, 286))])
def test_thumbnails_of_large_images_are_smaller(shape: tuple[int, int], small: tuple[int, int]) -> None:
    decoded = imagecodecs.jpeg8_decode(thumbnail(np.zeros(shape, np.uint8), np.ones(shape, np.uint32)))
    assert decoded.shape == (*small, 3)


def test_explore_writes_a_page_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from nucleus_unet.cli import main; main()", "explore", str(EXAMPLES)]
    result = subprocess.run([*command, "--out", str(tmp_path / "p.html")], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "6 images, 340 nuclei" in result.stdout
    assert (tmp_path / "p.html").exists()
    result = subprocess.run([*command, "--out", str(tmp_path / "p.pdf")], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
