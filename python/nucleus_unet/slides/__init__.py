"""Whole slides: read in parts, predicted in tiles, grouped in blocks, and resumed after any interruption."""
