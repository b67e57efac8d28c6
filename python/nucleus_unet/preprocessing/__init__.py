"""From an image's pixels to what the network is shown: channels, normalisation, scale, stains."""
