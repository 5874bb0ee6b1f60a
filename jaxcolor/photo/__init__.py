"""Coloring of photographs: classes of chroma, predicted from features that were trained on ImageNet."""
