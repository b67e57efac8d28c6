"""Find every nucleus in a microscopy image of any size, out of the box, offline."""
