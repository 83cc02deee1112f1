"""Exports and imports weights: safetensors, PyTorch, ONNX and StableHLO."""
