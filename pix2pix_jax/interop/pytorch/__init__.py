"""The names, fields and files of the authors' PyTorch code, read and written without PyTorch."""
