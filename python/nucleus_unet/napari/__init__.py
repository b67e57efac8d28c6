"""Plugin for the viewer napari: segment, look, correct, fine-tune.

``napari.yaml`` tells napari what there is. Modules of this folder need neither napari nor Qt. Those of ``widgets/`` do,
and import them when napari calls them.
"""
