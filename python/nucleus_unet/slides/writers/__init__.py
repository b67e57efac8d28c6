"""The files that a run over a slide leaves."""
