"""How the work on a slide is spread: threads, shards, a dask cluster."""
