"""The first look at a slide: levels, tissue, thumbnail, stains."""
