"""The survey of a slide before the prediction: intensity range, tissue, thumbnail, stains."""
