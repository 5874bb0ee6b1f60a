"""Coloring images by classifying each pixel into the colors of a palette."""
