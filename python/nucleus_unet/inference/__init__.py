"""Inference: tiles, engines that run the network, and grouping of the network's output into nuclei."""
