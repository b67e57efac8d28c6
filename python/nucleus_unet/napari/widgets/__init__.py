"""What napari docks: one module a widget. Only these modules use napari and Qt, from within functions."""
