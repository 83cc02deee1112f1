"""The formats that `export` writes, named by the suffix of their files."""

FORMATS = ("stablehlo", "onnx", "safetensors", "pth")
