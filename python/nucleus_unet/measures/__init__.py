"""Measures of nuclei and of the cells around them, the same for images and slides."""
