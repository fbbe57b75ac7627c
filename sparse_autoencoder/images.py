"""Load MNIST, Fashion-MNIST or scikit-learn's digits as plain NumPy arrays."""

import gzip
import hashlib
import io
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import numpy as np


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images and their labels, in three parts that share no image.

    name: "MNIST", "Fashion-MNIST" or "digits".
    image_shape: (28, 28), the height and width of an image in pixels.
    x_train, x_validation, x_test: float32, shape (n, 784), one image a row,
        from 0 (background) to 1 (ink).
    y_train, y_validation, y_test: int64, shape (n,), the class from 0 to 9.
    """

    name: str
    image_shape: tuple[int, int]
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def load_images(source=None, directory=None):
    if source == "fashion-mnist":
        return load_fashion_mnist(directory)
    return load_mnist(source, directory)


def load_mnist(source=None, directory=None):
    """Return MNIST's handwritten digits as ImageData, downloading them the first time.

    source: None takes MNIST, or, where it cannot be had, scikit-learn's 1,797 coarser digits
        with a printed notice; "mnist" takes MNIST or fails; "digits" takes scikit-learn's.
    directory: the folder that keeps mnist.npz; by default data/, beside this file.

    MNIST is split 50,000/10,000/10,000 (the last 10,000 training images are the validation
    part), the digits 1,200/297/300. Raises ValueError for any other source, and
    ConnectionError where source is "mnist" and MNIST can be neither read nor downloaded.
    Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database"; see data/README.md.
    """
    if source not in (None, "mnist", "digits"):
        raise ValueError(f'source must be "mnist", "digits" or None, not {source!r}.')
    if source != "digits":
        try:
            return _load(_MNIST, directory)
        except ConnectionError as error:
            if source == "mnist":
                raise
            print(
                f"{error}\nUntil then, scikit-learn's 1,797 digits stand in: 1,200 to train on "
                "instead of 50,000, enlarged from 8x8 pixels,\nso numbers and pictures will "
                "differ from those that the text describes."
            )
    return _load_digits()


def load_fashion_mnist(directory=None):
    """Return Fashion-MNIST's pieces of clothing as ImageData, downloading them the first time.

    directory: the folder that keeps fashion_mnist.npz; by default data/, beside this file.

    Split 50,000/10,000/10,000 as MNIST is. Raises ConnectionError where it can be neither read
    nor downloaded: nothing stands in for it.
    Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747; see data/README.md.
    """
    return _load(_FASHION_MNIST, directory)


@dataclass(frozen=True)
class _Archive:
    """A data set to download: its file here, where to get it, and how to know it is unharmed."""

    name: str
    file: str
    urls: tuple[str, ...]  # an address that ends in / is a folder with the four gzip files
    sha256: dict[str, str]  # of each array's uint8 values, however they were packed


_MNIST = _Archive(
    "MNIST",
    "mnist.npz",
    (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    {
        "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
)
_FASHION_MNIST = _Archive(
    "Fashion-MNIST",
    "fashion_mnist.npz",
    (
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    {
        "x_train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "y_train": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "x_test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "y_test": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    },
)
_GZIP_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
_DATA_FOLDER = Path(__file__).parent.parent / "data"
_SECONDS_TO_ANSWER = 6  # for all hosts together: without a network nobody waits any longer
_SECONDS_OF_SILENCE = 15  # a download that stands still for so long has failed


def _load(archive, directory):
    """Find an archive in the folder or on the network, and return it as ImageData."""
    folder = Path(directory or _DATA_FOLDER).absolute()
    path = folder / archive.file
    arrays = None

    def read(name):
        return (folder / name).read_bytes()

    if os.path.exists(path):
        try:
            return _split(archive, _decode(archive, read))
        except (OSError, ValueError) as error:
            _keep_aside(archive, path, error)
    if any(os.path.exists(folder / name) for name in _GZIP_FILES.values()):
        try:
            arrays = _decode(archive, read, gzipped=True)
        except (OSError, ValueError) as error:
            print(f"The .gz files in {folder} are not used for {archive.name}: {_reason(error)}.")
    arrays = arrays or _fetch(archive, folder)
    _save(archive, path, arrays)
    return _split(archive, arrays)


def _decode(archive, read, gzipped=False):
    """Return the checked uint8 arrays of an archive, where read(name) gives a file's bytes."""
    packed = [read(name) for name in (_GZIP_FILES.values() if gzipped else [archive.file])]
    arrays = {}
    try:
        if gzipped:
            for key, idx in zip(_GZIP_FILES, map(gzip.decompress, packed), strict=True):
                shape = np.frombuffer(idx, ">u4", count=idx[3], offset=4)  # the header of IDX
                arrays[key] = np.frombuffer(idx, np.uint8, offset=4 + shape.nbytes).reshape(shape)
        else:
            with np.load(io.BytesIO(packed[0]), allow_pickle=False) as npz:
                arrays = {key: npz[key] for key in archive.sha256}
    except Exception as error:  # what a damaged archive may raise cannot be foreseen
        raise ValueError(f"not a whole archive of {archive.name}") from error
    for key, sha256 in archive.sha256.items():
        array = np.ascontiguousarray(arrays[key])
        if array.dtype != np.uint8 or hashlib.sha256(array).hexdigest() != sha256:
            what = f"{key}, {array.dtype} {array.shape}"
            raise ValueError(f"the SHA-256 checksum of {what}, is not that of {archive.name}")
    return arrays


def _fetch(archive, folder):
    """Return the arrays from the first host that serves them whole, or say why none does."""
    import requests  # comes with pooch

    answered, problems = set(), []

    def ask(url):
        with suppress(OSError):
            requests.head(url, timeout=_SECONDS_TO_ANSWER)
            answered.add(url)

    # In threads, as no timeout bounds a name look-up, nor a host with several dead addresses.
    asking = {url: threading.Thread(target=ask, args=(url,), daemon=True) for url in archive.urls}
    for thread in asking.values():
        thread.start()
    deadline = time.monotonic() + _SECONDS_TO_ANSWER
    for url, thread in asking.items():
        thread.join(max(0, deadline - time.monotonic()))
        try:
            if url not in answered:
                raise ValueError("no connection")
            return _decode(archive, partial(_download, url), gzipped=url.endswith("/"))
        except (OSError, ValueError) as error:
            problems.append(f"{urlsplit(url).netloc}: {_reason(error)}")
    raise ConnectionError(
        f"{archive.name} could not be downloaded ({'; '.join(problems)}).\nConnect to the "
        f"internet and run this again, or put {archive.file} or the four original .gz files into "
        f"{folder} (data/README.md says where to get them)."
    )


def _download(url, name):
    """Return the bytes of the file called name at url, with a progress bar until they are here."""
    import pooch
    from tqdm import tqdm

    file = io.BytesIO()  # in memory, so that nothing is left behind when interrupted
    timeout = (_SECONDS_TO_ANSWER, _SECONDS_OF_SILENCE)
    # To stdout, as notebooks show stderr like an error. Pooch sets the total, but wants one here.
    with tqdm(desc=name, total=1, unit="B", unit_scale=True, leave=False, file=sys.stdout) as bar:
        download = pooch.HTTPDownloader(bar, chunk_size=2**16, timeout=timeout)
        download(urljoin(url, name), file, None)
    return file.getvalue()


@contextmanager
def written_whole(path):
    """A path to write to; what was written takes the place of `path`, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink()


def _save(archive, path, arrays):
    """Write arrays to path; where that fails, say so and go on."""
    try:
        with written_whole(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)
        print(f"{archive.name} is now in {path}.")
    except OSError as error:
        print(f"{path} could not be saved ({_reason(error)}): it is used from memory this time.")


def _keep_aside(archive, path, error):
    """Rename a file that cannot be used, never over one kept earlier."""
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    try:
        path.rename(aside)
        done = f"it is kept as {aside.name}, and {archive.name} is looked for elsewhere"
    except OSError as problem:
        done = f"please remove it yourself ({_reason(problem)})"
    print(f"{path} cannot be used ({_reason(error)}): {done}.")


def _reason(error):
    """Say in a few words what went wrong with a file or a download."""
    if isinstance(error, ValueError):
        return str(error)
    if getattr(error, "response", None) is not None:  # a requests.HTTPError
        return f"HTTP status {error.response.status_code}"
    return (error.strerror or "the connection broke off").lower()


def _split(archive, arrays):
    """Turn the checked bytes of an archive into ImageData."""
    x, x_test = (_pixels(arrays[key]) for key in ("x_train", "x_test"))
    y, y_test = (arrays[key].astype(np.int64).ravel() for key in ("y_train", "y_test"))
    n = len(x) - len(x_test)  # as many images to validate as to test
    return ImageData(archive.name, (28, 28), x[:n], y[:n], x[n:], y[n:], x_test, y_test)


def _pixels(grays):
    """Bytes as float32 in [0, 1], (n, 784), from a multiple of 64 bytes on.

    There TensorFlow reads them in place (sparse_autoencoder.as_tensor).
    """
    room = np.empty(grays.size + 16, np.float32)
    start = -room.ctypes.data % 64 // room.itemsize
    pixels = room[start : start + grays.size].reshape(-1, 784)
    return np.divide(grays.reshape(-1, 784), np.float32(255), out=pixels)


def _load_digits():
    """Return scikit-learn's 8x8 digits as ImageData, as 20x20 in MNIST's border of 4 pixels."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = zoom(x.reshape(-1, 8, 8) / 16, (1, 2.5, 2.5), order=1, mode="nearest", grid_mode=True)
    x = np.pad(x, ((0, 0), (4, 4), (4, 4))).reshape(-1, 784).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=300, stratify=y, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=297, stratify=y, random_state=0)
    return ImageData("digits", (28, 28), x, y, x_val, y_val, x_test, y_test)
