"""Reading training sets, augmenting them, and training the network."""
