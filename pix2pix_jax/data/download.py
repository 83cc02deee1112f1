"""Downloads the archives of the public sets."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.errors import DISK_ERRORS, UsageError


def download_archive(url: str, folder: Path) -> Path:
    """Downloads a file into a folder, unless it is there already.

    Args:
      url: the address of the file.
      folder: the folder; created if it does not exist.

    Returns:
      The path of the file.

    Raises:
      UsageError: the server does not answer, even if the file is there already, or the download
        failed; the message explains how to use a local copy instead.
      OSError: the file cannot be written, for example on a full disk.
    """
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
