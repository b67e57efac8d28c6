"""From an image to nuclei: tiles, engines that run the network, and the grouping of what it says."""
