"""The demo command: a page on which what is painted or opened is translated at once.

A page of our own over the standard library: a component library would bring no class names to its
brushes, translate only when a stroke has ended, and add two hundred megabytes.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import numpy as np
from PIL import Image

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.image_files import (
    MODES,
    convert_channels,
    decode,
    encode_png,
    resize,
    to_float,
    to_image,
)
from pix2pix_jax.data.palettes import CMP, CMP_PUBLIC, PALETTES, Palette, nearest_class
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.translator import open_translator
from pix2pix_jax.runs.compatibility import check_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say

MOST = 64 << 20  # bytes of an image that are read


@dataclass(frozen=True)
class Settings:
    """What the page is to know."""

    title: str
    about: str
    width: int
    height: int
    brushes: list[tuple[str, str]]  # name and colour
    ground: str  # colour of an empty picture
    free: bool  # whether any colour can be chosen
    examples: bool
    noisy: bool


def demo(
    config: Config,
    workdir: Workdir,
    step: int | Literal["best", "newest"],
    host: str,
    port: int,
) -> int:
    """Serves the page until it is stopped.

    Args:
      config: of the run.
      workdir: of the run.
      step: of the checkpoint.
      host: address to listen at; at any but one's own, anybody may come.
      port: 0: any that is free.

    Raises:
      UsageError: no such run, images that a browser has not, or a port that is taken.
    """
    config = resolve(config)
    check_run(workdir, config)
    data = config.data
    if data.input_channels not in MODES or data.target_channels not in MODES:
        raise UsageError(
            f"data.input_channels, data.target_channels: {data.input_channels} and "
            f"{data.target_channels} are not those of pictures (1, 3, 4); use translate on arrays"
        )
    translator = open_translator(config, workdir, step, seed=None, use_dropout=True)
    palette, step = palette_of(config), translator.step
    told = json.dumps(asdict(settings(config, workdir, step))).encode()
    answers = {
        "/settings": lambda _, __: told,
        "/input": lambda body, _: encode_png(as_input(config, body)),
        "/example": lambda _, number: encode_png(example(config, palette, number)),
        "/translate": lambda body, sample: encode_png(
            to_image(translator.translate(to_float(as_input(config, body))[None], sample)[0])
        ),
    }
    try:
        server = Server((host, port), handler(answers, host))
    except OSError as error:
        raise UsageError(
            f"--host, --port: cannot listen at {host}:{port} ({error.strerror}); give others, such "
            "as --port=0 for any"
        ) from error
    with server:
        say("compiling")
        translator.translate(np.zeros((1, *data.image_size, data.input_channels), np.float32), 0)
        say(f"{workdir}: step {step} at http://{host}:{server.server_port}/ until Ctrl-C")
        server.serve_forever()
    return 0


class Server(ThreadingHTTPServer):
    """Does not tell of visitors who leave before they are answered."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Tells in one line what is no visitor's doing."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)


def settings(config: Config, workdir: Workdir, step: int) -> Settings:
    """Of a run: brushes are the classes of its label maps, where these are what it takes."""
    palette, (height, width) = palette_of(config), config.data.image_size
    classes = palette.classes if palette else {"black": (0, 0, 0), "white": (255, 255, 255)}
    brushes = [(name, f"#{bytes(colour).hex()}") for name, colour in classes.items()]
    what = "a label map" if palette else "what it is to translate"
    return Settings(
        title=f"{workdir.name} at step {step}",
        about=f"Paint {what}, or open a picture; it is scaled to {width}x{height}, as in training.",
        width=width,
        height=height,
        brushes=brushes,
        ground=dict(brushes)["facade" if "facade" in classes else next(iter(classes))]
        if palette
        else "#ffffff",
        free=palette is None,
        examples=palette in (CMP, CMP_PUBLIC),
        noisy=config.model.dropout > 0,
    )


def palette_of(config: Config) -> Palette | None:
    """The classes of the label maps that a run takes; None where it takes something else."""
    data = config.data
    labels = data.direction == "BtoA" and data.input_channels == 3  # in all sets, A is the photo
    return PALETTES[data.name][0] if labels and data.name in PALETTES else None


def example(config: Config, palette: Palette | None, number: int) -> Image.Image:
    """A label map drawn by program, in the colours of a palette of facades."""
    _, label = draw_facade(2_000_000 + number, *config.data.image_size, False)
    colours = np.array(list((palette or CMP).classes.values()), np.uint8)
    return Image.fromarray(colours[nearest_class(label, CMP)])


def as_input(config: Config, body: bytes) -> Image.Image:
    """An image file as the network takes it, scaled as in training."""
    data = config.data
    image = convert_channels(decode(body, "this picture"), data.input_channels)
    return resize(image, data.image_size[::-1])


def is_local(host: str | None) -> bool:
    """Whether a name or address is one that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def handler(answers: dict[str, Callable[[bytes, int], bytes]], host: str) -> type:
    """Of requests: the page, and by path functions of the body and of the one number asked for."""
    page, lock = Path(__file__).with_name("page.html").read_bytes(), Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version, timeout = "HTTP/1.1", 30  # seconds that a silent visitor may stay

        def reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if urlsplit(self.path).path == "/":
                self.reply(200, page, "text/html; charset=utf-8")
            else:
                self.answer(b"")

        def do_POST(self) -> None:
            # A form on another site cannot send this type, nor a script there without asking.
            if self.headers.get("content-type") != "application/octet-stream":
                self.close_connection = True
                self.reply(415, b"send application/octet-stream", "text/plain")
                return
            length = self.headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MOST:
                self.close_connection = True
                status = 413 if length.isdecimal() else 411
                self.reply(status, f"a length of at most {MOST >> 20} MB".encode(), "text/plain")
                return
            self.answer(self.rfile.read(int(length)))

        def answer(self, body: bytes) -> None:
            try:
                url = urlsplit(self.path)
                # Another name for this machine would be another site's (DNS rebinding).
                name = urlsplit(f"//{self.headers.get('host', '')}").hostname
                [number, *_] = parse_qs(url.query).get("number", ["0"])
                if url.path not in answers or (is_local(host) and not is_local(name)):
                    self.reply(404, b"no such page", "text/plain")
                    return
                with lock:  # the devices do one thing at a time
                    content = answers[url.path](body, int(number) % 2**31)
            except (ValueError, UsageError) as error:  # a file that is no picture
                self.reply(400, str(error).encode(), "text/plain; charset=utf-8")
                return
            kind = "application/json" if url.path == "/settings" else "image/png"
            self.reply(200, content, kind)

        def log_message(self, *_) -> None:
            """Requests are not told."""

    return Handler
