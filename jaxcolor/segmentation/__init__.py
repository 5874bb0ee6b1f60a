"""Segmentation: a head on a pretrained, frozen backbone, fine-tuned on VOC or on your own images."""
