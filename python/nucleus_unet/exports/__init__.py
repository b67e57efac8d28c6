"""Segmentations as files: one module a format."""
