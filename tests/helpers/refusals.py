"""Finds the line with which a call is refused."""

import pytest

from pix2pix_jax.errors import UsageError


def refusal(call, *arguments) -> str:
    """The one line of the UsageError that a call raises."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
