"""The tables and the page of a benchmark."""

import pytest

from pix2pix_jax.config import Config
from pix2pix_jax.reports.benchmark import FIELDS, expected_milliseconds, render_benchmark_page
from pix2pix_jax.reports.benchmark_tables import format_number, parts_rows, steps_text


@pytest.fixture
def results():
    """The content of benchmark.json after the steps were timed."""
    config = Config()
    ours = {
        "seconds_per_step": 0.1, "quartiles": [0.09, 0.11], "images_per_second": 10.0,
        "peak_memory_mib": 1234, "first_step_seconds": 9.1, "restart_seconds": 2.2,
        "turns": [0.1] * 3,
    }  # fmt: skip
    return {
        "config": {
            group: {name: getattr(getattr(config, group), name) for g, name in FIELDS if g == group}
            for group, _ in FIELDS
        },
        "machine": {"cpu": "<a> & b", "devices": ["cpu"]},
        "versions": {"jax": "0.10"},
        "implementations": {"ours": ours, "peer": {"failed": "no <module>"}},
    }


@pytest.mark.parametrize(
    ("name", "shared", "expected"),
    [("size", False, [3, 12, 48]), ("batch", True, [6, 12, 24]), ("devices", False, [6, 12, 24]),
     ("devices", True, [12] * 3)],
)  # fmt: skip
def test_expected_time_is_proportional_to_the_work(name, shared, expected):
    """Real devices share the work (shared=True); simulated devices share the same processors."""
    assert expected_milliseconds([1, 2, 4], (2, 12.0), name, shared) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0.05808, "0.05808"), (1206.4, "1,206"), (9999.7, "10,000"), (11453, "11,453")],
)
def test_numbers_have_four_significant_digits_or_their_whole_integer_part(number, expected):
    assert format_number(number) == expected


def test_the_text_aligns_columns_and_mentions_the_restart(results):
    header, ours, peer, restart = steps_text(results["implementations"]).splitlines()
    assert ours.split() == ["ours", "100", "90", "to", "110", "10", "1,234", "9.1"]
    assert peer.split(maxsplit=2) == ["peer", "failed", "no <module>"]
    assert len(ours) == len(header)
    assert "2.2 s, not 9.1 s" in restart


def test_the_page_shows_tables_without_a_sweep(results):
    page = render_benchmark_page(results)
    assert "<td>100</td><td>90 to 110</td><td>10</td>" in page
    assert "<td>failed</td><td>no &lt;module&gt;</td>" in page
    assert "cpu &lt;a&gt; &amp; b, devices cpu, jax 0.10." in page
    assert "medians of 3 turns" in page
    assert page.count("<table") == 1
    assert "<svg" not in page


def test_the_chart_of_growth_shows_measured_and_expected_times(results):
    points = [
        {"size": size, "implementations": {"ours": {"seconds_per_step": size / 64, "ratio": 2.0}}}
        for size in (64, 128)
    ]
    points.append({"size": 256, "implementations": {"ours": {"failed": "memory"}}})
    sweep = {"of": "size", "values": [64, 128, 256, 512], "points": points}
    page = render_benchmark_page(results | {"sweep": sweep})
    assert page.count("<svg") == 1
    assert "Stopped after 3 of 4 points." in page
    assert "<td>128</td><td>2,000 ms (2.00x)</td>" in page
    assert "<td>256</td><td>memory</td>" in page
    assert "pixels per side" in page
    assert "in proportion" in page
    nothing = render_benchmark_page(results | {"sweep": sweep | {"points": points[2:]}})
    assert "<p>Nothing could be timed.</p>" in nothing
    assert "<svg" not in nothing


def test_the_table_of_parts_has_a_plain_name_for_batches_that_the_host_crops():
    row = {"seconds": 0.1, "quartiles": [0.1, 0.1]}
    rows = parts_rows({"data": row, "data, were none resident": row})
    assert [cells[0] for cells in rows] == ["data", "data, cropped by the host"]
