"""Read images and write files whole: every format is one module here."""
