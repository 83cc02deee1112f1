"""Says what a file is that should be a .pth file, from its first bytes or its members."""

SAVE_STATE_DICT_FIX = "save the PyTorch network with torch.save(net.state_dict(), FILE)"
# The kinds of files that people give instead of a .pth file, by their first bytes, with the fix.
BEGINNINGS = (
    (b"\x89HDF", "is a Keras or HDF5 file", SAVE_STATE_DICT_FIX),
    (b"GGUF", "is a GGUF file", SAVE_STATE_DICT_FIX),
    (b"version https://git-lfs", "is a pointer of Git LFS", "fetch the file with git lfs pull"),
    (b"<", "is a web page", "download the file that the page links to"),
    (b"\x1f\x8b", "is a gzip file", "unpack it and give the path of the .pth file"),
    (b"\x93NUMPY", "is a NumPy array", SAVE_STATE_DICT_FIX),
    (b"\x08", "is an ONNX file or another protocol buffer", SAVE_STATE_DICT_FIX),
    (b"\x80", "is a pickle that torch.save did not write", SAVE_STATE_DICT_FIX),
)  # fmt: skip
# The kinds of archives, by a member of the archive.
MEMBERS = (
    ("model.weights.h5", "a Keras file"),
    ("saved_model.pb", "a SavedModel of TensorFlow"),
    (".npy", "an .npz file of NumPy"),
    ("models/model.json", "a program of torch.export"),
)


def describe_beginning(start: bytes) -> tuple[str, str]:
    """Says what is wrong with a file that is not a .pth file, and what to do.

    Args:
      start: the first bytes of the file.
    """
    if not start:
        return "is empty, not a .pth file of PyTorch", "download the file again"
    for beginning, kind, fix in BEGINNINGS:
        if start.lstrip().startswith(beginning):
            return f"{kind}, not a .pth file of PyTorch", fix
    return (
        f"is not a .pth file of PyTorch: it begins with {start[:16]!r}",
        "give a .pth or .safetensors file",
    )


def describe_archive(names: list[str]) -> tuple[str, str]:
    """Says what is wrong with a zip archive that is not a .pth file, and what to do.

    Args:
      names: the names of the members of the archive.
    """
    for ending, kind in MEMBERS:
        if any(name.endswith(ending) for name in names):
            return f"is {kind}, not a .pth file of PyTorch", SAVE_STATE_DICT_FIX
    return (
        f"is a zip file with {', '.join(names)[:80]}, not a .pth file",
        "if it contains a .pth file, unpack it and give the path of the .pth file",
    )
