"""Writers of the result files of a slide."""
