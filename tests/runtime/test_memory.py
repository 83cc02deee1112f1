"""An out-of-memory error names the fields to make smaller."""

import jax
import pytest

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.memory import explain_out_of_memory


def test_an_out_of_memory_error_names_the_fields_to_make_smaller():
    expected = (
        "data.batch_size, .* memory of cpu .RESOURCE_EXHAUSTED: 9 bytes.; give a smaller value$"
    )
    with pytest.raises(UsageError, match=expected), explain_out_of_memory():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 9 bytes\nmore of it")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), explain_out_of_memory():
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")
