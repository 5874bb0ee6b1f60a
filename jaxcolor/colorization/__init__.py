"""Colouring pictures by classifying each pixel into the colours of a palette."""
