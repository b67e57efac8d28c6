"""Training sets: readers, folds, download."""
