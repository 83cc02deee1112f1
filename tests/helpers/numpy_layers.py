"""The layers of both networks in numpy, by their definitions, for one image [h, w, c]."""

import numpy as np


def convolution(x, kernel, stride=2):
    """Convolves x, padded by one zero, with a 4x4 kernel."""
    h, w, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    grid = [(side - 2) // stride + 1 for side in (h, w)]
    out = np.zeros((*grid, kernel.shape[-1]))
    for i in range(4):
        for j in range(4):
            rows = slice(i, i + stride * (grid[0] - 1) + 1, stride)
            columns = slice(j, j + stride * (grid[1] - 1) + 1, stride)
            out += padded[rows, columns] @ kernel[i, j]
    return out


def transposed_convolution(x, kernel):
    """Adds each pixel's product with the kernel to a doubled image, around the pixel's place."""
    h, w, _ = x.shape
    out = np.zeros((2 * h + 2, 2 * w + 2, kernel.shape[-1]))
    for i in range(4):
        for j in range(4):
            out[i : i + 2 * h : 2, j : j + 2 * w : 2] += x @ kernel[i, j]
    return out[1:-1, 1:-1]


def norm(x, params):
    centred = x - x.mean((0, 1))
    return centred / np.sqrt(centred.var((0, 1)) + 1e-5) * params["scale"] + params["bias"]


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


def relu(x):
    return np.maximum(x, 0)
