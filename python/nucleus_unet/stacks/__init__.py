"""Many planes of one image: time series, stacks, scenes and plates, plane by plane, to results on disk."""
