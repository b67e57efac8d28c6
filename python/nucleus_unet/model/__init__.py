"""The network: its shape, its weights, its forward pass, and the bundles it is stored in."""
