"""TIFF files whose metadata are malformed, elsewhere, or of a file that was renamed: the image is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.images import GREY
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image
from PIL import Image

BYTES = (GREY % 251).astype(np.uint8)
MARKS = [f"urn:uuid:{number}{number}{number}{number}1111-1111-1111-1111-111111111111" for number in range(3)]


def ome_xml(planes: list[tuple[str, str, int]], *, mark: str | None = None, names: tuple[str, ...] = ("A", "B")) -> str:
    """Describe an image whose channels lie each in a file of a name and a mark, at a page."""
    places = "".join(
        f'<TiffData FirstC="{number}" IFD="{page}" PlaneCount="1"><UUID FileName="{name}">{of}</UUID></TiffData>'
        for number, (name, of, page) in enumerate(planes)
    )
    channels = "".join(f'<Channel ID="Channel:0:{number}" Name="{names[number]}"/>' for number in range(len(planes)))
    own = "" if mark is None else f' UUID="{mark}"'
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{own}><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="30" SizeC="{len(planes)}" '
        f'SizeZ="1" SizeT="1" PhysicalSizeX="0.5">{channels}{places}</Pixels></Image></OME>'
    )


def write(path: Path, description: str, *pages: np.ndarray) -> Path:
    with tifffile.TiffWriter(path) as file:
        for number, page in enumerate(pages):
            file.write(page, description=description if number == 0 else None, metadata=None)
    return path


def both_files(folder: Path) -> list[Path]:
    planes = [("c0.ome.tif", MARKS[0], 0), ("c1.ome.tif", MARKS[1], 0)]
    return [
        write(folder / f"c{number}.ome.tif", ome_xml(planes, mark=MARKS[number]), BYTES + np.uint8(number))
        for number in range(2)
    ]


def test_the_channels_of_several_files_are_read_from_any_of_them(tmp_path: Path) -> None:
    for path in both_files(tmp_path):
        for number in range(2):
            np.testing.assert_array_equal(read_image(path, channel=number), BYTES + np.uint8(number))


def write_positions(folder: Path, *, compression: str | None = None) -> tuple[list[Path], np.ndarray]:
    """Write two positions of other sizes of pixels, as an OME-TIFF of two files that both describe both."""
    planes = [(f"p{number}.ome.tif", f"urn:uuid:{number}", 0) for number in range(2)]
    images = [
        f'<Image ID="Image:{number}" Name="position {number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" '
        f'Type="uint16" SizeX="50" SizeY="40" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="0.{number + 1}">'
        f'<Channel ID="Channel:{number}:0" Name="stain {number}"/><TiffData IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{mark}</UUID></TiffData></Pixels></Image>'
        for number, (name, mark, _) in enumerate(planes)
    ]
    pixels = np.random.default_rng(0).integers(0, 999, (2, 40, 50), np.uint16)
    for number, (name, mark, _) in enumerate(planes):
        space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
        text = f'<?xml version="1.0"?><OME xmlns="{space}" UUID="{mark}">{"".join(images)}</OME>'
        tifffile.imwrite(
            folder / name, pixels[number], description=text.encode(), metadata=None, compression=compression
        )
    return [folder / name for name, _, _ in planes], pixels


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_each_position_of_several_files_has_the_pixels_of_its_own_file(tmp_path: Path, compression: str | None) -> None:
    files, pixels = write_positions(tmp_path, compression=compression)
    for file in files:
        for number in range(2):
            np.testing.assert_array_equal(read_image(file, scene=f"position {number}"), pixels[number])


def test_a_position_keeps_its_metadata_where_the_file_of_another_is_missing(tmp_path: Path) -> None:
    files, pixels = write_positions(tmp_path)
    files[0].unlink()
    with open_image(files[1]) as source:
        assert source.scenes == ("position 1",)
        assert source.pixel_size == 0.2
        assert [each.name for each in source.channels] == ["stain 1"]
        assert source.warnings == ("files that belong to it are not there: p0.ome.tif",)
        np.testing.assert_array_equal(source.read(source.plane()), pixels[1])


def test_a_missing_file_is_an_error_that_names_it_where_its_planes_are_wanted(tmp_path: Path) -> None:
    missing, path = both_files(tmp_path)
    missing.unlink()
    with pytest.raises(ImageError, match=r"c1.ome.tif: the file does not contain this plane: c0.ome.tif is not there"):
        read_image(path, channel="A")
    np.testing.assert_array_equal(read_image(path, channel="B"), BYTES + np.uint8(1))
    with open_image(path) as source:
        assert source.warnings == ("files that belong to it are not there: c0.ome.tif",)


@pytest.mark.parametrize("mark", [None, MARKS[0], MARKS[2]])
def test_a_renamed_file_is_read_with_all_that_it_says(tmp_path: Path, mark: str | None) -> None:
    planes = [("old.ome.tif", MARKS[0], 0), ("old.ome.tif", MARKS[0], 1)]
    path = write(tmp_path / "new.ome.tif", ome_xml(planes, mark=mark), BYTES, BYTES + np.uint8(1))
    with open_image(path) as source:
        assert (source.pixel_size, source.warnings) == (0.5, ())
    np.testing.assert_array_equal(read_image(path, channel="B"), BYTES + np.uint8(1))


def test_metadata_of_a_companion_file_are_read_or_missed_by_name(tmp_path: Path) -> None:
    description = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
        '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/></OME>'
    )
    path = write(tmp_path / "a.ome.tif", description, BYTES, BYTES + np.uint8(1))
    with open_image(path) as source:
        assert "the file with its metadata, a.companion.ome, cannot be read" in source.warnings[0]
    planes = [("a.ome.tif", MARKS[0], 0), ("a.ome.tif", MARKS[0], 1)]
    (tmp_path / "a.companion.ome").write_text(ome_xml(planes, mark="urn:uuid:2"))
    np.testing.assert_array_equal(read_image(path, channel="B"), BYTES + np.uint8(1))


def test_a_bare_ampersand_in_ome_xml_is_repaired(tmp_path: Path) -> None:
    planes = [("a.ome.tif", MARKS[0], 0), ("a.ome.tif", MARKS[0], 1)]
    description = ome_xml(planes, mark=MARKS[0], names=("A & B", "C"))
    path = write(tmp_path / "a.ome.tif", description, BYTES, BYTES + np.uint8(1))
    with open_image(path) as source:
        assert [channel.name for channel in source.channels] == ["A & B", "C"]
        assert "its OME-XML is malformed" in source.warnings[0]
        assert "was repaired" in source.warnings[0]


@pytest.mark.parametrize(
    "description",
    [
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="',
        ome_xml([("a", "b", 0)]).replace('SizeC="1"', 'SizeC="one"'),
        ome_xml([("a", "b", 0)]).replace("</Pixels>", ""),
        "ImageJ=1.53\nimages=2\nchannels=many\n",
        '{"shape": [30, 40',
        '{"shape": "none"}',
        '{"shape": [3, 30, 40]}',
        "ImageJ=1.53\nimages=9\nslices=9\n",
    ],
)
def test_malformed_metadata_cost_the_metadata_and_not_the_image(
    tmp_path: Path, description: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.ome.tif", description, BYTES)
    np.testing.assert_array_equal(read_image(path), BYTES)
    with open_image(path) as source:
        assert len(source.warnings) == 1
        assert source.warnings[0] in caplog.text


def test_a_page_that_pillow_saved_again_does_not_have_the_shape_of_its_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([BYTES] * 3), photometric="minisblack")
    tags = {270: '{"shape": [3, 30, 40]}'}
    Image.fromarray(BYTES).save(tmp_path / "b.tif", tiffinfo=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), BYTES)


def test_pages_that_are_cut_off_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", "", BYTES, BYTES, BYTES)
    with tifffile.TiffFile(path) as file:
        end = file.pages[1].dataoffsets[0] + BYTES.size
    path.write_bytes(path.read_bytes()[:end])
    with open_image(path) as source:
        assert source.warnings == ("a page after its first 2 is lost: it may be cut off",)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_pages_that_follow_each_other_in_a_circle_are_refused(tmp_path: Path, after: int) -> None:
    path = write(tmp_path / "circle.tif", "", BYTES, BYTES, BYTES)
    with tifffile.TiffFile(path) as file:
        offsets = [page.offset for page in file.pages]
        count = len(file.pages[2].tags)
    content = bytearray(path.read_bytes())
    place = offsets[2] + 2 + 12 * count
    content[place : place + 4] = offsets[after].to_bytes(4, "little")
    path.write_bytes(content)

    with pytest.raises(ImageError, match="circle"):
        read_image(path)


STACK_OF_OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="40" SizeY="30" SizeC="1" SizeZ="4" SizeT="1">'
    '<Channel ID="Channel:0:0"/><TiffData IFD="0" PlaneCount="4"/></Pixels></Image></OME>'
)


@pytest.mark.parametrize("description", [STACK_OF_OME, "ImageJ=1.54f\nimages=4\nslices=4\n"])
def test_a_stack_that_is_cut_off_is_not_taken_for_its_first_planes(tmp_path: Path, description: str) -> None:
    path = write(tmp_path / "a.ome.tif", description, BYTES, BYTES, BYTES, BYTES)
    with open_image(path) as source:
        assert source.sizes["Z"] == 4
    with tifffile.TiffFile(path) as file:
        end = file.pages[1].dataoffsets[0] + BYTES.size
    path.write_bytes(path.read_bytes()[:end])

    with pytest.raises(ImageError, match="2 of the 4 planes"):
        open_image(path)


def test_a_stack_whose_description_is_cut_off_too_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(np.stack([BYTES] * 4), metadata={"axes": "ZYX"}, compression="zlib")
    with tifffile.TiffFile(path) as file:
        end = file.pages[2].offset
    path.write_bytes(path.read_bytes()[:end])

    with pytest.raises(ImageError, match="cut off"):
        read_image(path)
