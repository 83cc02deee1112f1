"""The FCN-score (section 4.1): how many pixels of the outputs have the right class.

Pixels are counted over the whole split before anything is divided.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


@partial(jax.jit, static_argnums=2)
def confusion_matrices(
    truth: Array | np.ndarray, predicted: Array | np.ndarray, classes: int
) -> Array:
    """The confusion matrix of every image.

    Args:
      truth: [b, h, w], the true class of every pixel. Pixels with a class of `classes` or more do
        not count.
      predicted: [b, h, w], the predicted class of every pixel, below `classes`.
      classes: the number of classes.

    Returns:
      Numbers of pixels [b, classes, classes]: rows are true classes, columns predicted classes.
    """
    cells = truth.astype(jnp.int32) * classes + predicted.astype(jnp.int32)
    cells = jnp.where(truth < classes, cells, classes**2).reshape(len(truth), -1)
    counts = jax.vmap(partial(jnp.bincount, length=classes**2 + 1))(cells)
    # The last bin counts the pixels without a class.
    return counts[:, :-1].reshape(-1, classes, classes)


def fcn_score(matrix: np.ndarray) -> dict[str, float]:
    """The scores of a confusion matrix, with the names of the paper's tables 1 to 3.

    Section 5 of Long et al. 2015 calls these scores pixel accuracy, mean accuracy and mean IU.
    The mean accuracy leaves out classes that do not occur. The mean IU leaves out classes that
    neither occur nor are predicted.

    Args:
      matrix: [classes, classes], the confusion matrix of all images together.

    Returns:
      Values by metric, each 0 to 1; NaN if no pixel has a class.
    """
    matrix = np.asarray(matrix, np.float64)
    correct, occurring, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    union = occurring + predicted - correct
    return {
        "per_pixel_accuracy": _mean_ratio(correct.sum(keepdims=True), occurring.sum(keepdims=True)),
        "per_class_accuracy": _mean_ratio(correct, occurring),
        "class_iou": _mean_ratio(correct, union),
    }


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> float:
    """The mean of parts / wholes over all wholes that are not 0; NaN if all are 0."""
    nonzero = wholes > 0
    if not nonzero.any():
        return float("nan")
    return float(np.mean(parts[nonzero] / wholes[nonzero]))
