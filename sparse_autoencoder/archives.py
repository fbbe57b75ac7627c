"""Where MNIST and Fashion-MNIST come from, and how a whole archive of them is known."""

import gzip
import hashlib
import io
import itertools
import os
import sys
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from urllib.parse import urljoin, urlsplit

import numpy as np

SECONDS_TO_ANSWER = 5  # a host that says nothing for so long is not waited for
SECONDS_OF_SILENCE = 15  # a download that stands still for so long has failed
# Each array: its name in the layout of Keras, and the gzip file that it first came in.
GZIP_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


@dataclass(frozen=True)
class Archive:
    """A data set to download.

    Attributes:
        name: as ImageData has it.
        urls: where to get it; an address that ends in / is a folder with the four gzip files.
        sha256: of each array's bytes, however they were packed, in the order of GZIP_FILES.
    """

    name: str
    urls: tuple[str, ...]
    sha256: tuple[str, ...]


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
    """Look for an archive in its file, in gzip files beside it, and on the network.

    Args:
        archive: an Archive.
        path: of its file, which need not be there; a damaged one is kept under another name.

    Returns:
        the arrays, name → uint8, and whether they were read from `path`.

    Raises:
        ConnectionError: it is nowhere to be had; the message says why.
    """
    if os.path.lexists(path):
        try:
            return decode(archive, [path.read_bytes()]), True
        except (OSError, ValueError) as error:
            print(f"{path} cannot be used ({reason(error)}): {_keep_aside(path)}.")
    by_hand = [path.with_name(name) for name in GZIP_FILES.values()]
    if any(map(os.path.exists, by_hand)):
        try:
            return decode(archive, [file.read_bytes() for file in by_hand]), False
        except (OSError, ValueError) as error:
            print(
                f"The .gz files in {path.parent} are not used for {archive.name}: {reason(error)}."
            )
    problems = []
    for url in archive.urls:
        names = GZIP_FILES.values() if url.endswith("/") else [path.name]
        try:
            return decode(archive, [_download(urljoin(url, name)) for name in names]), False
        except (OSError, ValueError) as error:
            problems.append(f"{urlsplit(url).netloc}: {reason(error)}")
    raise ConnectionError(
        f"{archive.name} could not be downloaded ({'; '.join(problems)}).\nConnect to the internet "
        f"and run this again, or put {path.name} or the four original .gz files into {path.parent} "
        "(data/README.md says where to get them)."
    )


def decode(archive, files):
    """The checked uint8 arrays of an archive, from the bytes of its one file or its four."""
    try:
        if len(files) == 1:
            with np.load(io.BytesIO(files[0])) as npz:
                arrays = {key: np.ascontiguousarray(npz[key]) for key in GZIP_FILES}
        else:
            arrays = {}
            for key, idx in zip(GZIP_FILES, map(gzip.decompress, files), strict=True):
                shape = np.frombuffer(idx, ">u4", count=idx[3], offset=4)  # the header of IDX
                arrays[key] = np.frombuffer(idx, "u1", offset=4 + shape.nbytes).reshape(shape)
    except Exception as error:  # what a damaged archive may raise cannot be foreseen
        raise ValueError(f"not a whole archive of {archive.name}") from error
    for (key, array), sha256 in zip(arrays.items(), archive.sha256, strict=True):
        if array.dtype != np.uint8 or hashlib.sha256(array).hexdigest() != sha256:
            raise ValueError(f"the SHA-256 checksum of {key} is not that of {archive.name}")
    return arrays


def _download(url):
    """The bytes at url, with a progress bar until they are here."""
    import pooch
    import requests
    from tqdm import tqdm

    with ThreadPool(1) as pool:  # no timeout of requests' bounds the look-up of a name
        asked = pool.apply_async(requests.head, (url,), {"timeout": SECONDS_TO_ANSWER})
        asked.wait(SECONDS_TO_ANSWER)
    if not (asked.ready() and asked.successful()):
        raise ValueError("no connection")
    file, name = io.BytesIO(), url.rpartition("/")[2]
    timeout = SECONDS_TO_ANSWER, SECONDS_OF_SILENCE
    # To stdout, as notebooks show stderr like an error. Pooch sets the total, but wants one here.
    with tqdm(desc=name, total=1, unit="B", unit_scale=True, leave=False, file=sys.stdout) as bar:
        pooch.HTTPDownloader(bar, chunk_size=2**16, timeout=timeout)(url, file, None)
    return file.getvalue()


def _keep_aside(path):
    """Rename a file that cannot be used, never over one kept earlier, and say so."""
    asides = (path.with_name(f"{path.name}.damaged-{n}") for n in itertools.count(1))
    aside = next(name for name in asides if not os.path.lexists(name))
    try:
        path.rename(aside)
        return f"it is kept as {aside.name}"
    except OSError as error:
        return f"please remove it yourself ({reason(error)})"


def reason(error):
    """In a few words, what went wrong with a file or a download."""
    return getattr(error, "strerror", None) or str(error)
