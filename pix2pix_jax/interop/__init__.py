"""Weights in and out: safetensors, PyTorch, ONNX and StableHLO."""
