"""Trained networks as files for other programs: ONNX, StableHLO, PyTorch and safetensors."""
