"""Downloads the archives of the public sets."""

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds

from pix2pix_jax.errors import DISK_ERRORS, UsageError
from pix2pix_jax.runtime.console import say

INFO_SUFFIX = ".INFO"  # TFDS writes a file with this suffix beside each downloaded file


def download_archive(url: str, folder: Path) -> Path:
    """Downloads a file into a folder, unless it is there already and undamaged.

    Raises:
      UsageError: the download failed; the message explains how to use a local copy instead.
      OSError: the file cannot be written, for example on a full disk.
    """
    if archive := _find_downloaded(url, folder):
        return archive
    try:
        # TFDS would retry a failed download for minutes, so this request is made first.
        urllib.request.urlopen(url, timeout=20).close()
        return Path(tfds.download.DownloadManager(download_dir=folder).download(url))
    except (OSError, http.client.HTTPException, tfds.download.DownloadError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise UsageError(
            f"{url}: cannot be downloaded ({reason})",
            "download the file on another machine, copy it here, and give "
            f"--config.data.source=PATH_TO/{url.rpartition('/')[2]}",
        ) from error


def _find_downloaded(url: str, folder: Path) -> Path | None:
    """The file that was downloaded from an address; damaged files are removed."""
    for info in folder.glob(f"*{INFO_SUFFIX}"):
        archive = info.with_name(info.name.removesuffix(INFO_SUFFIX))
        facts = _read_info(info)
        if facts is None:  # With this file, TFDS would not download the archive again.
            say(f"removed {info}, because it is damaged")
            info.unlink(missing_ok=True)
            continue
        if url not in facts.urls or not archive.exists():
            continue
        with archive.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == facts.checksum:
                return archive
        say(f"removed {archive}, because it is damaged")
        for path in (archive, info):
            path.unlink(missing_ok=True)
    return None


class _Info(NamedTuple):
    """The facts about a downloaded file that TFDS writes beside the file."""

    urls: list[str]
    checksum: str  # SHA-256 in hexadecimal digits


def _read_info(path: Path) -> _Info | None:
    """Reads the facts about a downloaded file; None if they are damaged or incomplete."""
    try:
        facts = json.loads(path.read_bytes())
        return _Info(facts["urls"], facts["url_info"]["checksum"])
    except (ValueError, KeyError, TypeError):
        return None
