"""Export of segmentations and models to files, one module per format."""
