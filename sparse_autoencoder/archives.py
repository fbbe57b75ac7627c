"""Where MNIST and Fashion-MNIST come from, and how a whole archive of them is known."""

import gzip
import hashlib
import io
import itertools
import os
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import numpy as np

from .downloads import NotDownloaded, download
from .files import save

SECONDS_TO_ANSWER = 5  # a host that says nothing for so long is not waited for
SECONDS_OF_SILENCE = 15  # a download that stands still for so long has failed
# Each array: its name in the layout of Keras, and the gzip file that it first came in.
GZIP_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
LOG_IN = "If you have to log in to the network, do so in a browser"
KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


@dataclass(frozen=True)
class Archive:
    """A data set to download."""

    name: str
    urls: tuple[str, ...]  # an address that ends in / is a folder with the four gzip files
    sha256: tuple[str, ...]  # of each array's bytes, in the order of GZIP_FILES


ARCHIVES = {
    "mnist": Archive(
        "MNIST",
        (KERAS + "mnist.npz", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        (
            "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
            "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
            "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
            "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
        ),
    ),
    "fashion-mnist": Archive(
        "Fashion-MNIST",
        (KERAS, "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        (
            "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
            "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
            "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
            "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        ),
    ),
}


def find(archive, path):
    """The uint8 arrays of an archive, from its file, gzip files beside it, or the network.

    What did not come from the file is saved there; a damaged one is kept under another name.

    Raises:
        ConnectionError: the archive is nowhere to be had; the message says why.
    """
    if os.path.lexists(path):
        try:
            return _decode(archive, [path.read_bytes()])
        except (OSError, ValueError) as error:
            asides = (path.with_name(f"{path.name}.damaged-{n}") for n in itertools.count(1))
            aside = next(name for name in asides if not os.path.lexists(name))
            with suppress(OSError):
                path.rename(aside)
            is_kept = os.path.lexists(aside)
            done = f"it is kept as {aside.name}" if is_kept else "please remove it yourself"
            print(f"{path} cannot be used ({reason(error)}): {done}.")
    arrays, by_hand = None, [_by_hand(path.parent, name) for name in GZIP_FILES.values()]
    if any(map(os.path.exists, by_hand)):
        try:
            arrays = _decode(archive, [file.read_bytes() for file in by_hand])
        except (OSError, ValueError) as error:
            name = getattr(error, "filename", None)
            why = f"{os.path.basename(name)}: {reason(error)}" if name else reason(error)
            print(f"{path.parent}/*.gz are not used for {archive.name} ({why}).")
    arrays = arrays or _download(archive, path)
    try:
        save(path, np.savez_compressed, **arrays)
        print(f"{archive.name} is now in {path}.")
    except OSError as error:
        print(f"{path} could not be saved ({reason(error)}).")
    return arrays


def _by_hand(folder, name):
    """Where one of the four original files lies: packed or not, with a hyphen or a dot before idx.

    Such names come from programs that unpack what they download.
    """
    dotted = name.replace("-idx", ".idx")
    names = [name, dotted, name.removesuffix(".gz"), dotted.removesuffix(".gz")]
    return next((folder / n for n in names if os.path.exists(folder / n)), folder / name)


def _decode(archive, files):
    """The checked uint8 arrays of an archive, from the bytes of its one file or its four."""
    key = None
    try:
        if len(files) == 1:
            npz = np.load(io.BytesIO(files[0]))
            arrays = {key: npz[key] for key in GZIP_FILES}
        else:
            arrays = {}
            for key, idx in zip(GZIP_FILES, files, strict=True):
                idx = gzip.decompress(idx) if idx[:2] == b"\x1f\x8b" else idx
                shape = np.frombuffer(idx, ">u4", count=idx[3], offset=4)  # the header of IDX
                arrays[key] = np.frombuffer(idx, "u1", offset=4 + shape.nbytes).reshape(shape)
    except Exception as error:  # what a damaged archive may raise cannot be foreseen
        page = "a web page, " if files[0].lstrip()[:1] == b"<" else ""
        of = f"{GZIP_FILES[key]} cannot be read: " if key else ""
        raise ValueError(f"{of}{page}not a whole archive of {archive.name}") from error
    for (key, array), sha256 in zip(arrays.items(), archive.sha256, strict=True):
        if array.dtype != np.uint8 or hashlib.sha256(array.tobytes()).hexdigest() != sha256:
            raise ValueError(f"the SHA-256 checksum of {key} is not that of {archive.name}")
    return arrays


def _download(archive, path):
    """The arrays from the first host that has them whole, with a progress bar for each file."""
    problems, advice = [], {}
    for url in archive.urls:
        names = GZIP_FILES.values() if url.endswith("/") else [path.name]
        urls = [urljoin(url, name) for name in names]
        try:
            files = [download(u, SECONDS_TO_ANSWER, SECONDS_OF_SILENCE) for u in urls]
            return _decode(archive, files)
        except (NotDownloaded, ValueError) as error:
            problems.append(f"{urlsplit(url).netloc}: {error}")
            advice[getattr(error, "advice", LOG_IN)] = None  # each once, in this order
    raise ConnectionError(
        f"{archive.name} could not be downloaded ({'; '.join(problems)}).\n{'. '.join(advice)}, "
        f"and run this again, or put {path.name} or the four original .gz files into {path.parent} "
        "(data/README.md says where to get them)."
    )


def reason(error):
    """In a few words, what went wrong with a file or a download."""
    return getattr(error, "strerror", None) or str(error)
