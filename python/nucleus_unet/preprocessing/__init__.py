"""From the pixels of an image to the input of the network: normalisation, scale, stains."""
