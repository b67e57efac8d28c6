"""Acceptance on real masks: the 615 images of the 2018 Data Science Bowl, as PNG files and as RLE table."""

import csv
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from nucleus_unet.masks import (
    MergeReport,
    kaggle_to_labels,
    labels_to_coco,
    labels_to_kaggle,
    merge_mask_pngs,
)
from numpy.typing import NDArray
from pycocotools import mask as pycocotools

# Pixels that two masks of an image both claim.
OVERLAPPING = {
    "0a7d30b252359a10fd298b638b90cb9ada3acced4e0c0e5a3692013f432ee4e9": 2,
    "1609b1b8480ee52652a644403b3f7d5511410a016750aa3b9a4c8ddb3e893e8e": 1,
    "175dbb364bfefc9537931144861c9b6e08934df3992782c669c6fe4234319dfc": 1,
    "72e8c49dea44787114fd191f9e97e260f961c6e7ae4715bc95cc91db8d91a4e3": 2,
}


@dataclass(frozen=True)
class MaskedImage:
    files: list[bytes]
    rles: list[str]
    labels: NDArray[np.uint32]
    report: MergeReport


@pytest.fixture(scope="module")
def images(real_data: Path) -> dict[str, MaskedImage]:
    files = defaultdict(list)
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        for name in sorted(archive.namelist()):
            image, *_, folder, _file = name.split("/")
            if folder == "masks" and name.endswith(".png"):
                files[image].append(archive.read(name))
    rles = defaultdict(list)
    with (real_data / "dsb2018" / "stage1_train_labels.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            rles[row["ImageId"]].append(row["EncodedPixels"])
    assert files.keys() == rles.keys()
    return {image: MaskedImage(masks, rles[image], *merge_mask_pngs(masks)) for image, masks in files.items()}


def test_there_are_615_images_and_26776_masks(images):
    assert len(images) == 615
    assert sum(len(image.files) for image in images.values()) == 26776


def test_four_images_overlap_by_six_pixels_in_all_and_no_mask_is_empty_or_hidden(images):
    lost = {name: image.report.lost_pixels for name, image in images.items() if image.report.overlaps}
    assert lost == OVERLAPPING
    assert sum(lost.values()) == 6
    assert not any(image.report.empty or image.report.hidden for image in images.values())


def test_on_611_images_the_masks_encode_to_exactly_the_rows_of_the_table(images):
    for name, image in images.items():
        encoded = Counter(labels_to_kaggle(image.labels).values())
        missing = Counter(image.rles) - encoded
        # Of each overlap's two masks, the later comes back without what it lost.
        assert missing.total() == (1 if name in OVERLAPPING else 0)
        assert encoded.total() == len(image.rles)


def test_on_611_images_the_rows_of_the_table_decode_and_encode_to_themselves(images):
    for name, image in images.items():
        labels, report = kaggle_to_labels(image.rles, image.labels.shape)
        assert report.lost_pixels == OVERLAPPING.get(name, 0)
        np.testing.assert_array_equal(labels > 0, image.labels > 0)
        if name not in OVERLAPPING:
            assert list(labels_to_kaggle(labels).values()) == image.rles


def test_areas_and_compressed_counts_are_those_of_pycocotools_on_each_mask_file(images):
    differing = Counter()
    for name, image in images.items():
        encoded = labels_to_coco(image.labels)
        areas = np.bincount(image.labels.ravel())
        for label, file in enumerate(image.files, start=1):
            mask = imagecodecs.png_decode(file)
            mask = mask if mask.ndim == 2 else mask[..., :3].any(axis=-1)
            expected = pycocotools.encode(np.asfortranarray(mask > 0, dtype=np.uint8))
            differing[name] += int(pycocotools.area(expected)) - int(areas[label])
            if str(encoded[label]["counts"]).encode() != expected["counts"]:
                assert name in OVERLAPPING
    assert +differing == OVERLAPPING
