"""Executors of a slide's tasks: threads, shards, and a dask cluster."""
