"""How right a model is: metrics on label images, and the evaluation of a model on a labelled set."""
