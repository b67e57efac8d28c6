"""Masks and label images: encodings, overlaps, measurements and cleaning.

Masks are passed as a list. Mask `i`, counted from 0, becomes label `i + 1` of a label image. A pixel in two masks is
assigned to the earlier mask. The `MergeReport` lists the pixels that the later masks lost.
"""

from nucleus_unet.masks.blending import blend_tiles
from nucleus_unet.masks.cleaning import (
    clear_border,
    expand_labels,
    fill_holes,
    filter_by_area,
    relabel_by_position,
    remove_small_objects,
)
from nucleus_unet.masks.encodings import (
    CocoRle,
    coco_to_labels,
    coco_to_mask,
    kaggle_to_labels,
    labels_to_coco,
    labels_to_kaggle,
    mask_to_coco,
)
from nucleus_unet.masks.measures import regionprops_table
from nucleus_unet.masks.merging import MergeReport, Overlap
from nucleus_unet.masks.outlines import contours, simplify_ring, smooth_labels
from nucleus_unet.masks.overlaps import OverlapTable, overlap_table
from nucleus_unet.masks.pngs import merge_mask_pngs
from nucleus_unet.masks.polygons import polygons_to_labels
from nucleus_unet.masks.regions import distance, label, watershed
from nucleus_unet.masks.rle_measures import rle_areas, rle_boxes, rle_iou

__all__ = [
    "CocoRle",
    "MergeReport",
    "Overlap",
    "OverlapTable",
    "blend_tiles",
    "clear_border",
    "coco_to_labels",
    "coco_to_mask",
    "contours",
    "distance",
    "expand_labels",
    "fill_holes",
    "filter_by_area",
    "kaggle_to_labels",
    "label",
    "labels_to_coco",
    "labels_to_kaggle",
    "mask_to_coco",
    "merge_mask_pngs",
    "overlap_table",
    "polygons_to_labels",
    "regionprops_table",
    "relabel_by_position",
    "remove_small_objects",
    "rle_areas",
    "rle_boxes",
    "rle_iou",
    "simplify_ring",
    "smooth_labels",
    "watershed",
]
