"""The demo in a real browser and by plain requests."""

import http.client
import io
import signal
from threading import Thread
from types import SimpleNamespace
from urllib.request import urlopen

import jax
import numpy as np
import pytest
from helpers.command_line import refused, start
from helpers.refusals import refusal
from helpers.states import state_of
from PIL import Image

from pix2pix_jax.config import Config, Data, Model
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.images.palettes import CMP, CMP_PUBLIC
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.inference.demo.demo import draw_example, input_palette, make_settings
from pix2pix_jax.inference.demo.server import (
    DemoServer,
    RequestHandler,
    is_local,
    parse_number,
    serve_demo,
)
from pix2pix_jax.inference.half_cutter import HalfCutter
from pix2pix_jax.interop.import_weights import write_run
from pix2pix_jax.models.unet import translate_each
from pix2pix_jax.runs.workdir import Workdir


def config_of(**data):
    data = {"direction": "BtoA", "image_size": (32, 48)} | data
    model = Model(features=8, depth=4, discriminator="patch16", discriminator_features=4)
    return resolve(Config(data=Data(**data), model=model))


def settings_of(config, workdir):
    return make_settings(config, Workdir(workdir), 3, HalfCutter(config.data, None))


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory):
    """A run, and the port at which its demo is served."""
    workdir, config = tmp_path_factory.mktemp("served"), config_of()
    state = state_of(config)
    write_run(Workdir(workdir), config, state)
    process = start("demo", f"--workdir={workdir}", "--port=0")
    lines = [process.stdout.readline(), process.stdout.readline()]
    assert "http://127.0.0.1:" in lines[1], lines + [process.stderr.read()]
    yield config, state, int(lines[1].partition("127.0.0.1:")[2].partition("/")[0])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")


def request(port, method, path, body=None, kind="application/octet-stream", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, {"content-type": kind} | headers)
    with connection.getresponse() as answer:
        result = answer.status, answer.read()
    connection.close()
    return result


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def page(demo_run, browser):
    errors, addresses = [], set()
    page = browser.new_page(viewport={"width": 1000, "height": 800})
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: addresses.add(request.url.partition(":")[0]))
    page.on("request", lambda request: addresses.add(request.url.split("/")[2]))
    page.goto(f"http://127.0.0.1:{demo_run[2]}/")
    wait_for_translations(page)
    yield page
    page.close()
    assert errors == []
    assert addresses <= {"http", "data", "blob", f"127.0.0.1:{demo_run[2]}", "", ","}


def wait_for_translations(page, least=1):
    """Waits until the page has shown at least `least` translations, and no request is running."""
    page.wait_for_function(
        "least => { const output = document.querySelector('#output');"
        " return output.dataset.count >= least && output.ariaBusy === 'false'; }",
        arg=least,
    )


def pixels(page, canvas):
    flat = page.evaluate(
        "name => { const from = document.getElementById(name);"
        " const copy = new OffscreenCanvas(from.width, from.height);"
        " const context = copy.getContext('2d', {willReadFrequently: true});"
        " context.drawImage(from, 0, 0);"
        " return [...context.getImageData(0, 0, from.width, from.height).data]; }",
        canvas,
    )
    return np.uint8(flat).reshape(32, 48, 4)


def drag(page, start, end):
    """Drags the mouse over the input; positions are fractions of its sides."""
    box = page.locator("#input").bounding_box()
    for (x, y), press_or_release in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        press_or_release()


def test_painting_changes_the_output(demo_run, page):
    first = pixels(page, "output")
    assert first[..., :3].std() > 10
    assert (first[..., 3] == 255).all()
    page.get_by_text("door", exact=True).click()
    count = int(page.locator("#output").get_attribute("data-count"))
    drag(page, (0.25, 0.25), (0.75, 0.75))
    wait_for_translations(page, count + 1)
    painted, second = pixels(page, "input"), pixels(page, "output")
    assert (painted[8:24, 12:36, :3] == CMP.classes["door"]).all()
    assert np.abs(first.astype(int) - second).max() > 20
    config, state, _ = demo_run
    keys = jax.random.fold_in(stream_key(config, "translations"), 0)[None]
    image = painted[None, ..., :3] / np.float32(127.5) - 1
    variables = {"params": state.generator.params}
    expected = translate_each(make_generator(config), variables, image, keys)
    wanted = np.clip(np.round((np.asarray(expected[0]) + 1) * 127.5), 0, 255)
    assert np.abs(second[..., :3] - wanted).max() <= 1


def test_brushes_paint_only_class_colours_and_undo_restores(page):
    before = pixels(page, "input")
    assert page.locator("#size").is_disabled()  # Rectangles need no brush size.
    page.locator("#tool").select_option("brush")
    assert page.locator("#size").is_enabled()
    page.get_by_text("pillar", exact=True).click()
    drag(page, (0.1, 0.2), (0.9, 0.6))
    wait_for_translations(page, 2)
    colours = {tuple(colour) for colour in pixels(page, "input")[..., :3].reshape(-1, 3).tolist()}
    assert colours <= set(CMP.classes.values())
    assert CMP.classes["pillar"] in colours
    page.locator("#undo").click()
    wait_for_translations(page, 3)
    np.testing.assert_array_equal(pixels(page, "input"), before)
    page.locator("#clear").click()
    wait_for_translations(page, 4)
    assert (pixels(page, "input")[..., :3] == CMP.classes["facade"]).all()


def test_new_noise_examples_and_opened_files_change_the_page(page, tmp_path):
    first = pixels(page, "output")
    page.locator("#noise").click()
    wait_for_translations(page, 2)
    assert (pixels(page, "output") != first).any()
    before = pixels(page, "input")
    page.locator("#example").click()
    wait_for_translations(page, 3)
    assert (pixels(page, "input") != before).any()
    # An opened file is scaled as in training.
    Image.new("RGB", (100, 70), (9, 8, 7)).save(tmp_path / "a.png")
    page.locator("#file").set_input_files(tmp_path / "a.png")
    wait_for_translations(page, 4)
    assert (pixels(page, "input") == (9, 8, 7, 255)).all()


def test_a_body_that_is_not_an_image_is_refused(demo_run):
    port = demo_run[2]
    status, body = request(port, "POST", "/input", b"hello")
    assert (status, b"cannot be read as an image" in body) == (400, True)
    status, body = request(port, "POST", "/translate", b"")
    assert (status, b"the file is empty" in body) == (400, True)
    status, body = request(port, "POST", "/input", png(np.zeros((7, 9), np.uint8)))
    with Image.open(io.BytesIO(body)) as image:
        assert (status, image.size, image.mode) == (200, (48, 32), "RGB")


def test_requests_from_other_sites_are_refused(demo_run):
    port, picture = demo_run[2], png(np.zeros((32, 48, 3), np.uint8))
    assert request(port, "POST", "/translate", picture)[0] == 200
    assert request(port, "POST", "/translate", picture, kind="image/png")[0] == 415
    assert request(port, "POST", "/translate", picture, host="evil.example:80")[0] == 404
    assert request(port, "GET", "/settings", host="evil.example")[0] == 404
    # Browsers leave out port 80.
    assert request(port, "GET", "/settings", host="localhost")[0] == 200
    assert request(port, "GET", "/settings", host="127.0.0.1.evil.example")[0] == 404
    assert request(port, "GET", "/settings", host="127.1.2.3:5")[0] == 200
    assert request(port, "GET", "/../demo.py")[0] == 404
    assert request(port, "GET", "/server.py")[0] == 404
    unknown = {"content-length": "", "transfer-encoding": "chunked"}
    assert request(port, "POST", "/translate", b"", **unknown)[0] == 411
    assert request(port, "POST", "/translate", b"", **{"content-length": str(1 << 40)})[0] == 413
    assert request(port, "POST", "/translate", b"", **{"content-length": "9" * 5000})[0] == 411
    assert request(port, "GET", "/settings", host="[")[0] == 404
    assert request(port, "GET", "/example?number=x")[0] == 400


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/?from=a-link", "text/html"), ("/page.css", "text/css"),
     ("/page.js", "text/javascript")],
)  # fmt: skip
def test_files_of_the_page_have_their_content_types(demo_run, path, kind):
    with urlopen(f"http://127.0.0.1:{demo_run[2]}{path}") as answer:
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert len(answer.read()) == int(answer.headers["content-length"]) > 100


def request_from(demo, path):
    """The status and the body of the answer to an upload, from a server in this process."""
    with DemoServer("127.0.0.1", 0, RequestHandler, demo) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            return request(server.server_port, "POST", path, b"image")
        finally:
            server.shutdown()
            thread.join()


def request_error(error):
    """The status and the body of the answer if the demo raises an error."""

    def decode_upload(body):
        raise error

    return request_from(SimpleNamespace(decode_upload=decode_upload), "/input")


@pytest.mark.parametrize("error", [ValueError("shapes differ"), KeyError("gan"), OSError("disk")])
def test_a_bug_is_answered_with_500_and_keeps_its_traceback(error, capsys):
    status, body = request_error(error)
    assert (status, body) == (500, b"the demo failed; look at the error in its terminal")
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "in decode_upload\n    raise error" in err


def test_an_error_of_the_visitor_is_answered_with_400_and_no_traceback(capsys):
    assert request_error(UsageError("this image: is empty")) == (400, b"this image: is empty")
    assert capsys.readouterr().err == ""


def test_a_run_without_facades_as_inputs_has_no_examples(tmp_path):
    settings = settings_of(config_of(name="cityscapes"), tmp_path)
    assert request_from(SimpleNamespace(settings=settings), "/example")[0] == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", 0), ("number=7", 7), (f"number={2**31 + 3}", 3), ("number=-1", 2**31 - 1)],
)
def test_large_and_negative_numbers_of_a_query_wrap_around(query, expected):
    assert parse_number(query) == expected


@pytest.mark.parametrize("text", ["x", "1.5", "9" * 5000])  # Python reads at most 4300 digits
def test_a_query_without_a_whole_number_is_refused(text):
    assert "is not a whole number" in refusal(parse_number, f"number={text}")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), (None, False),
     ("", False), ("0.0.0.0", False), ("127.0.0.1.evil.example", False), ("192.168.0.1", False)],
)  # fmt: skip
def test_only_loopback_addresses_are_local(host, expected):
    assert is_local(host) is expected


def test_a_port_that_is_taken_is_a_usage_error(demo_run, tmp_path):
    write_run(Workdir(tmp_path / "run"), demo_run[0], demo_run[1])
    refused(
        "cannot listen at 127.0.0.1",
        "demo",
        f"--workdir={tmp_path / 'run'}",
        f"--port={demo_run[2]}",
    )
    refused("--workdir: is missing", "demo")
    refused("is not a port", "demo", "--port=99999")


def test_brushes_are_the_classes_of_the_inputs(tmp_path):
    assert input_palette(config_of()) == CMP
    assert input_palette(config_of(name="facades")) == CMP_PUBLIC
    assert input_palette(config_of(direction="AtoB")) is None
    assert input_palette(config_of(name="maps")) is None
    assert input_palette(config_of(input_channels=1)) is None
    page = settings_of(config_of(name="cityscapes"), tmp_path)
    assert (page.width, page.height, page.has_examples, page.any_colour) == (48, 32, False, False)
    assert page.brushes[0] == ("road", "#804080")
    plain = settings_of(config_of(name="maps"), tmp_path)
    assert [name for name, _ in plain.brushes] == ["black", "white"]
    assert (plain.any_colour, plain.background) == (True, "#ffffff")
    drawn = np.asarray(draw_example(config_of(name="facades"), CMP_PUBLIC, 0)).reshape(-1, 3)
    assert {tuple(c) for c in drawn.tolist()} <= set(CMP_PUBLIC.classes.values())


def test_a_run_whose_inputs_cannot_be_image_files_is_refused(tmp_path):
    config = config_of(input_channels=2)
    write_run(Workdir(tmp_path), config, state_of(config))
    assert "channels, not of 2 and 3" in refusal(
        serve_demo, config, Workdir(tmp_path), "newest", "127.0.0.1", 0
    )
