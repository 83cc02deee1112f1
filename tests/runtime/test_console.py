"""The lines of the commands state numbers and speeds in plain words."""

import pytest

from pix2pix_jax.runtime.console import format_speed, say


def test_a_line_keeps_its_spaces_and_escapes_control_characters(capsys):
    say("  step 5  é.png l;\x1b[31m.png\n\u202egnp: \udcff")
    assert capsys.readouterr().out == ("  step 5  é.png l;\\x1b[31m.png\\n\\u202egnp: \\udcff\n")


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [
        (1234.5, "1,234.50 images/s"),
        (1.0, "1.00 images/s"),
        (0.5, "2.0 s per image"),
        (1 / 236.9, "236.9 s per image"),
    ],
)
def test_a_slow_speed_is_given_as_the_time_of_one_image(per_second, expected):
    assert format_speed(per_second, "image") == expected
