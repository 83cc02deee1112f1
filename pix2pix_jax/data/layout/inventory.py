"""Sorts the files of a folder into images, images that are skipped, and everything else."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pix2pix_jax.data.images.image_files import SUFFIXES
from pix2pix_jax.data.images.signatures import find_signature, is_readable, read_start
from pix2pix_jax.data.layout.own_images import MANIFEST, find_own_images
from pix2pix_jax.data.layout.walk import is_special, list_files
from pix2pix_jax.runtime.console import MAX_NAMED, name_some, plural

# Folders and files, in lower case, that systems, network drives and programs leave behind. Images
# in them are thumbnails or copies, so they are skipped silently.
JUNK_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
    *("__macosx", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", ".trash"),
    *(".temporaryitems", ".documentrevisions-v100", ".@__thumb", ".thumbnails", ".thumbs"),
    *("$recycle.bin", "system volume information", "lost+found", "lost.dir", ".snapshot"),
    *(".snapshots", ".picasaoriginals", ".git", ".svn", ".hg", ".dvc", ".ipynb_checkpoints"),
    *(".cache", ".venv", "__pycache__", ".dropbox.cache", ".stversions", ".sync"),
}
JUNK_SUFFIXES = {".thm"}  # thumbnails that cameras write beside their files
CLOUD_SUFFIX = ".icloud"  # of hidden files in place of files that iCloud has not downloaded yet
# Suffixes of images in formats that are not read.
OTHER_SUFFIXES = {
    *(".pfm", ".pam", ".jif", ".jp2", ".j2k", ".jxl", ".heic", ".heif", ".avif", ".exr", ".hdr"),
    *(".tga", ".dds", ".ico", ".psd", ".xcf", ".svg", ".pcx", ".sgi", ".ras", ".fits", ".fit"),
    *(".dcm", ".nii", ".nrrd", ".mha", ".npy", ".npz", ".cr2", ".cr3", ".nef", ".arw", ".dng"),
    *(".orf", ".rw2", ".raf", ".dib", ".btf", ".qoi", ".icns", ".emf", ".wmf", ".eps", ".czi"),
    *(".nd2", ".svs"),
}
# Suffixes of texts, which are not opened: a set may have a text for each image.
TEXT_SUFFIXES = {".txt", ".json", ".jsonl", ".xml", ".csv", ".tsv", ".md", ".yaml", ".yml"}
MAX_OPENED = 1000  # at most this number of files with other suffixes is opened to look for images
ARCHIVE_SUFFIXES = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"}
COMPRESSED_IMAGES = (".nii.gz",)  # the ends of names of single images that look like archives
# For each kind of `SkippedFiles`: the noun, the place, the fix, and what is said of one file;
# {found} is replaced by suffixes.
SKIPPED_KINDS = {
    "archive": ("archive", "", "unpack archives that contain pairs", "is an archive"),
    "cloud": (
        "file",
        "that iCloud has not downloaded",
        "download the files, then run the same command again",
        "has not been downloaded by iCloud",
    ),
    "closed": ("file", "that cannot be opened", "make these files readable", "cannot be opened"),
    "format": (
        "image",
        "in formats that cannot be read: {found}",
        "save images of these formats as PNG",
        "has a format that cannot be read",
    ),
    "hidden": (
        "hidden image",
        "",
        "to read hidden images, remove the dot at the start of their names or folders",
        "is a hidden file",
    ),
    "link": ("broken link", "", "repair or remove broken links", "is a broken link"),
    "run": (
        "image",
        "in folders of runs",
        "to read these images as data, copy them out of the folder of the run",
        "is in the folder of a run",
    ),
    "special": (
        "file",
        "of type pipe, socket or device",
        "replace each by an image",
        "is a pipe, socket or device",
    ),
    "suffix": (
        "image",
        "without a known suffix",
        "add the right suffix, such as .png or .jpg, to the names",
        "has no known suffix",
    ),
    "translation": (
        "image",
        "that translate wrote",
        f"to read these images as data, remove {MANIFEST} from their folder",
        "was written by translate",
    ),
}


@dataclass(frozen=True)
class SkippedFiles:
    """Files of a source that are in no pair, for one reason.

    Attributes:
      files: the names of the files, relative to the source.
      noun: what one of the files is: "image" or "broken link", for example.
      place: the rest of the description, for all files: "outside train, val and test".
      fix: what the user may do about it; "" if there is nothing to do.
      each: what is said of each file alone: "is a broken link", for example.
    """

    files: tuple[str, ...]
    noun: str
    place: str = ""
    fix: str = ""
    each: str = ""

    def describe(self) -> str:
        """Says how many files these are, what they are, and names the first of them."""
        count = plural(len(self.files), self.noun)
        described = f"{count} {self.place}" if self.place else count
        return f"{described} ({name_some(self.files)})"

    def line(self) -> str:
        """The line about the files that `prepare` prints."""
        fix = f"; {self.fix}" if self.fix else ""
        return f"skipped {self.describe()}{fix}"


@dataclass(frozen=True)
class Inventory:
    """The files below a folder.

    Attributes:
      images: the image files that can be read, according to their suffixes.
      left_out: files that may hold images but cannot be used, by reason.
      others: the remaining files.
    """

    images: list[Path]
    left_out: list[SkippedFiles]
    others: list[Path]


def take_inventory(root: Path) -> Inventory:
    """Lists the files below a folder by what they are.

    Raises:
      OSError: a folder cannot be read.
    """
    paths = list_files(root, lambda folder: not is_junk_folder(folder.name), only_files=False)
    return sort_files(paths, root, find_own_images(root, paths))


def sort_files(
    paths: list[Path], root: Path, own_images: Mapping[Path, str] = MappingProxyType({})
) -> Inventory:
    """Sorts files by what they are.

    Args:
      paths: the files, which may also be broken links, pipes, sockets and devices.
      root: the folder that contains them.
      own_images: the files that this program wrote, with their kind; see `find_own_images`.
    """
    kinds: dict[str, list[Path]] = {}
    unknown = []
    for path in paths:
        kind = _kind(path, root)
        if path in own_images and kind != "junk":
            is_image = kind == "image" or path.suffix.lower() in OTHER_SUFFIXES
            kind = own_images[path] if is_image else "other"
        if kind == "unknown":
            unknown.append(path)
        else:
            kinds.setdefault(kind, []).append(path)
    for number, path in enumerate(unknown):
        content = _image_kind(path) if number < MAX_OPENED else ""
        default = "format" if path.suffix.lower() in OTHER_SUFFIXES else "other"
        kinds.setdefault(content or default, []).append(path)
    images, others = kinds.pop("image", []), kinds.pop("other", [])
    kinds.pop("junk", None)
    return Inventory(images, list(_describe_kinds(kinds, root)), others)


def is_junk_folder(name: str) -> bool:
    """Whether a folder is one of those that systems and network drives write for themselves."""
    return name.lower() in JUNK_FOLDERS or name.lower().startswith(".trash-")


def is_junk_file(name: str) -> bool:
    """Whether a file was written by a system beside the files of the user."""
    return name.startswith("._") or Path(name).suffix.lower() in JUNK_SUFFIXES


def _kind(path: Path, root: Path) -> str:
    """The kind of a file by its name: image, other, junk, unknown, or a kind that is skipped."""
    suffix = path.suffix.lower()
    if is_junk_file(path.name):
        return "junk"
    if not path.exists():
        return "link"
    if suffix == CLOUD_SUFFIX:
        return "cloud"
    if "/." in f"/{str(path)[len(str(root)) :]}":  # `relative_to` would take most of the time.
        return "hidden" if suffix in SUFFIXES | OTHER_SUFFIXES else "other"
    if is_special(path):
        return "special"
    if suffix in SUFFIXES:
        return "image"
    if suffix in ARCHIVE_SUFFIXES:
        return "format" if path.name.lower().endswith(COMPRESSED_IMAGES) else "archive"
    return "other" if suffix in TEXT_SUFFIXES else "unknown"


def _image_kind(path: Path) -> str:
    """The kind of a skipped file by its first bytes; "" if the file is not an image."""
    try:
        start = read_start(path)
    except OSError:
        return "closed"
    if is_readable(start):
        return "suffix"
    signature = find_signature(start)
    return "format" if signature and signature.is_image else ""


def _describe_kinds(kinds: dict[str, list[Path]], root: Path) -> Iterator[SkippedFiles]:
    """Yields the skipped files of each kind."""
    for kind, paths in sorted(kinds.items()):
        noun, place, fix, each = SKIPPED_KINDS[kind]
        names = tuple(str(path.relative_to(root)) for path in paths)
        place = place.format(found=count_suffixes(paths, MAX_NAMED))
        yield SkippedFiles(names, noun, place, fix, each)


def count_suffixes(paths: list[Path], most: int) -> str:
    """The `most` common suffixes of files, and the numbers of these files: "2 .txt, 1 .md"."""
    counts = Counter(suffix_of(path) or "without suffix" for path in paths)
    return ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(most))


def suffix_of(path: Path) -> str:
    """The suffix of a file in lower case; both suffixes of a name such as 1.nii.gz."""
    name = path.name.lower()
    return next((end for end in COMPRESSED_IMAGES if name.endswith(end)), path.suffix.lower())
