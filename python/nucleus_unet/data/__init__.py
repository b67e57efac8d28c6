"""Labelled sets: readers, folds and download."""
