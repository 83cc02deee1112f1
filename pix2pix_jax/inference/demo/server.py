"""The demo command: a page in the browser that translates painted or uploaded images.

The page and its server need only the standard library. A library of components would have no
brushes named by classes, could not translate while a stroke is painted, and would add two hundred
megabytes.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.image_files import encode_png
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.demo.demo import MAX_MEGABYTES, Demo
from pix2pix_jax.inference.translator import open_translator
from pix2pix_jax.runs.compatibility import check_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say

TEXT = "text/plain; charset=utf-8"
UPLOAD = "application/octet-stream"
FILES = {  # path to the name of a file here, and its type
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
MAX_NUMBER = 2**31  # numbers of examples and samples wrap around here


def is_local(host: str | None) -> bool:
    """Whether a host name or address belongs to this machine alone."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


class DemoServer(ThreadingHTTPServer):
    """Serves a demo, each visitor in a thread.

    Attributes:
      demo: answers requests.
      files: content and type of the files of the page, by path.
      only_local: whether only this machine reaches the server.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler], demo: Demo):
        """Starts to listen.

        Args:
          host: the address to listen at.
          port: the port to listen at; 0: any free one.
          handler: answers a visitor.
          demo: what the handler asks.

        Raises:
          OSError: the port is taken, or `host` is no address of this machine.
        """
        self.demo = demo
        folder = Path(__file__).parent
        self.files = {
            path: ((folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()
        }
        self.only_local = is_local(host)
        super().__init__((host, port), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints an error in one line, unless a visitor left before the answer was sent."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"{type(error).__name__}: {error}", file=sys.stderr)


class RequestHandler(BaseHTTPRequestHandler):
    """Answers one visitor: the page, its settings, and images.

    Bodies of requests and images in answers are files. /input scales an image, /translate
    translates one with the noise `number`, /example draws the example `number`.
    """

    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a silent visitor may keep a connection

    @property
    def demo_server(self) -> DemoServer:
        """The server that this handler belongs to."""
        assert isinstance(self.server, DemoServer)
        return self.server

    def do_GET(self) -> None:
        """Sends a file of the page, or answers a request without a body."""
        # A link to the page may carry a query, which the page has no use for.
        if file := self.demo_server.files.get(self.path.partition("?")[0]):
            self.send(200, *file)
        else:
            self.answer(b"")

    def do_POST(self) -> None:
        """Answers a request with a body, once its type and length are known to be harmless."""
        # A form on another site cannot send this type, and a script there would have to ask first.
        if self.headers.get("content-type") != UPLOAD:
            self.refuse_body(415, f"send {UPLOAD}")
            return
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            self.refuse_body(411, f"send a content-length of at most {MAX_MEGABYTES} MB")
        elif int(length) > MAX_MEGABYTES << 20:
            self.refuse_body(413, f"send at most {MAX_MEGABYTES} MB")
        else:
            self.answer(self.rfile.read(int(length)))

    def answer(self, body: bytes) -> None:
        """Sends what the path asks for, or an error in one line."""
        try:
            url = urlsplit(self.path)
            content = self.make_content(url.path, url.query, body) if self.is_trusted() else None
        except (ValueError, UsageError) as error:  # a bad number, or a file that is no image
            self.send(400, str(error).encode(), TEXT)
            return
        if content is None:
            self.send(404, b"no such page", TEXT)
        else:
            self.send(200, *content)

    def is_trusted(self) -> bool:
        """Whether the visitor used an address of this machine, if only this machine is served.

        Another name for this machine belongs to another site (DNS rebinding).
        """
        name = urlsplit(f"//{self.headers.get('host', '')}").hostname
        return is_local(name) or not self.demo_server.only_local

    def make_content(self, path: str, query: str, body: bytes) -> tuple[bytes, str] | None:
        """The content of an answer and its type; None if there is no such path.

        Raises:
          ValueError: `number` in the query is no number.
          UsageError: the body cannot be read as an image.
        """
        demo = self.demo_server.demo
        number = parse_qs(query).get("number", ["0"])[0]
        if path == "/settings":
            return demo.settings_json(), "application/json"
        if path == "/input":
            image = demo.read_input(body)
        elif path == "/example":
            image = demo.draw_example(int(number) % MAX_NUMBER)
        elif path == "/translate":
            image = demo.translate(body, int(number) % MAX_NUMBER)
        else:
            return None
        return encode_png(image), "image/png"

    def refuse_body(self, status: int, reason: str) -> None:
        """Sends an error and closes the connection, since the body was not read."""
        self.close_connection = True
        self.send(status, reason.encode(), TEXT)

    def send(self, status: int, content: bytes, kind: str) -> None:
        """Sends an answer of a content type."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing: a page makes many requests."""


def serve_demo(
    config: Config,
    workdir: Workdir,
    step: int | Literal["best", "newest"],
    host: str,
    port: int,
) -> int:
    """Serves the page until the process is stopped.

    Args:
      config: of the run.
      workdir: of the run.
      step: of the checkpoint.
      host: the address to listen at; unless it is local, anybody who reaches it may use the page.
      port: the port to listen at; 0: any free one.

    Returns:
      The exit status.

    Raises:
      UsageError: the run does not exist or has no images, or the port is taken.
    """
    config = resolve(config)
    check_run(workdir, config)
    translator = open_translator(config, workdir, step, seed=None, use_dropout=True)
    demo = Demo(config, workdir, translator)
    try:
        server = DemoServer(host, port, RequestHandler, demo)
    except OSError as error:
        raise UsageError(
            f"--host, --port: cannot listen at {host}:{port} ({error.strerror}); give others, such "
            "as --port=0 for any free port"
        ) from error
    with server:
        say("compiling")
        demo.compile()
        address = f"http://{host}:{server.server_port}/"
        say(f"{workdir}: step {translator.step} at {address} until Ctrl-C")
        server.serve_forever()
    return 0
