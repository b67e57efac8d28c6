"""Training: reading sets, folds, augmentation, losses, the trainer. Nothing that predicts imports it."""
