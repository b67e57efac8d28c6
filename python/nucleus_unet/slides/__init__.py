"""Images of any size: read in parts, predicted once, grouped in blocks, resumed after any interruption."""
