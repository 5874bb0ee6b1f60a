"""Segmentation: a DeepLabV3 whose pretrained backbone is frozen, fine-tuned on Pascal VOC."""
