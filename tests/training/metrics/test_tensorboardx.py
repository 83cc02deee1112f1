"""Training writes TensorBoard events without importing PyTorch, and does not disturb PyTorch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["torch", "google.cloud.storage"])
def test_training_does_not_import_large_libraries(module):
    pytest.importorskip(module)
    code = f"import pix2pix_jax.training.train, sys; print('{module}' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_pytorch_can_be_imported_after_tensorboardx():
    torch = pytest.importorskip("torch")
    code = "import pix2pix_jax.training.metrics.tensorboardx, torch; print(torch.__version__)"
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found == f"{torch.__version__}\n"
