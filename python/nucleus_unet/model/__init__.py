"""The network: its configuration, weights, forward pass and quantisation, and the bundles that store a model."""
