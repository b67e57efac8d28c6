"""Read images and write files atomically. Each file format has its own module."""
