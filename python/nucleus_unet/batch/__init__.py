"""Many images in one call: which they are, where their results go, what is done already, and what went wrong."""
