"""The folder of prepared datasets; only this file knows the paths inside the folder."""

from dataclasses import dataclass
from pathlib import Path

from pix2pix_jax.runtime.storage.bucket_folders import download_folder, upload_folder
from pix2pix_jax.runtime.storage.files import split_location

INFO = "dataset_info.json"  # TFDS writes this file last, so a folder with this file is complete


@dataclass(frozen=True)
class DataDir:
    """The folder that data.data_dir names.

    Attributes:
      path: the folder on this machine.
      address: gs://BUCKET/DIR if `path` is a local copy of that folder of a bucket, else None.
    """

    path: Path
    address: str | None = None

    @classmethod
    def parse(cls, location: str) -> "DataDir":
        """Makes the data folder of a path or of an address gs://BUCKET/DIR.

        Raises:
          UsageError: the address is not of the form gs://BUCKET/DIR, or the path begins with "~"
            and the home folder is unknown.
        """
        return cls(*split_location(location))

    @property
    def downloads(self) -> Path:
        """The folder of the downloaded archives of the public sets."""
        return self.path / "downloads"

    @property
    def unpack_folder(self) -> Path:
        """The folder in which archives are unpacked temporarily."""
        return self.path / ".unpacking"

    def segmenter_file(self, name: str) -> Path:
        """The file with the weights of a segmenter."""
        return self.path / "segmenters" / name / "segmenter.safetensors"

    def download(self, prefix: str) -> None:
        """Downloads complete datasets whose paths begin with `prefix`, if there is a bucket.

        Raises:
          UsageError: the bucket cannot be reached, or a name in the bucket is outside the folder.
          OSError: a file cannot be read or written on this machine.
        """
        if self.address:
            download_folder(self.address, self.path, prefix, INFO)

    def upload(self, prefix: str) -> None:
        """Uploads missing files whose paths begin with `prefix`, if there is a bucket.

        Raises:
          UsageError: the bucket cannot be reached, or the upload damaged a file.
          OSError: a file cannot be read on this machine.
        """
        if self.address:
            upload_folder(self.address, self.path, prefix, INFO)
