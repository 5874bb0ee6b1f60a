"""Annotations of other programs, turned into a folder with the layout of VOC."""
