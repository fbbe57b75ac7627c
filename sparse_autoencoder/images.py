"""Load MNIST, Fashion-MNIST or scikit-learn's digits as plain NumPy arrays."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch

from .archives import ARCHIVES, GZIP_FILES, find
from .files import save
from .tables import DATA, IN_A_CLONE


@dataclass(frozen=True, eq=False)
class ImageData:
    """Images and their labels, in three parts that share no image.

    Attributes:
        name: "MNIST", "Fashion-MNIST" or "digits".
        image_shape: (28, 28), the height and width of an image in pixels.
        x_train, x_validation, x_test: float32, (n, 784), one image a row, from 0 (background) to
            1 (ink).
        y_train, y_validation, y_test: int64, (n,), the class from 0 to 9.
        steps: batches of 128 in what the lessons call an epoch; 390 of them are 50,000 images.
    """

    name: str
    image_shape: tuple[int, int]
    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    steps: int = 390


def load_images(source=None, directory=None):
    """Return images and labels as ImageData, downloading them the first time.

    MNIST and Fashion-MNIST are split 50,000/10,000/10,000 (the last 10,000 training images are
    the validation part), the digits 1,200/297/300. Sources: data/README.md.

    Args:
        source: "mnist", "fashion-mnist", or "digits" for scikit-learn's 1,797 coarser ones; None
            takes MNIST, or, where it cannot be had, the digits with a printed notice.
        directory: the folder that keeps what was downloaded; by default the one that the variable
            SPARSE_AUTOENCODER_IMAGES names, as on a server whose users share it, else data/ in a
            clone, and the user's cache folder where the course was installed from a wheel.

    Raises:
        ValueError: there is no such source.
        ConnectionError: what was asked for by name can be neither read nor downloaded.
    """
    if source not in (None, *ARCHIVES, "digits"):
        raise ValueError(
            f'source must be "mnist", "fashion-mnist", "digits" or None, not {source!r}.'
        )
    try:
        if source != "digits":
            folder = directory or os.environ.get("SPARSE_AUTOENCODER_IMAGES")
            folder = Path(folder or (DATA if IN_A_CLONE else _cache()))
            return _load(ARCHIVES[source or "mnist"], folder.absolute())
    except ConnectionError as error:
        if source:
            raise
        print(
            f"{error}\nUntil then, scikit-learn's 1,797 digits stand in: 1,200 to train on instead "
            "of 50,000, enlarged from 8x8 pixels,\nso numbers and pictures will differ from those "
            "that the text describes."
        )
    return _digits()


def _cache():
    """The user's cache folder."""
    return Path(pooch.os_cache("sparse-autoencoder-course"))


def _load(archive, folder):
    path = folder / f"{archive.name.lower().replace('-', '_')}.npz"
    if (pages := _map(path)) is None:
        pages = _map(path, find(archive, path))
    # As memoryviews: with a np.memmap, joblib sends the file's name to its processes, which then
    # miss what was written into the array.
    x, x_test, y, y_test = (np.asarray(memoryview(pages[key][0])) for key in GZIP_FILES)
    n = len(x) - len(x_test)  # as many images to validate as to test
    return ImageData(archive.name, (28, 28), x[:n], y[:n], x[n:], y[n:], x_test, y_test)


def _map(path, arrays=None):
    """The pages of the archive at path: one file beside it or in the user's cache, copy-on-write.

    All processes share them, and what one writes is its own. TensorFlow reads them in place, which
    it does not with a read-only map. From arrays the file is made, or held in memory where no
    folder takes it; without, this returns None where there is none, or one of another archive.
    """
    stat = os.stat(path) if os.path.exists(path) else None
    made_from = [stat.st_size, stat.st_mtime_ns] if stat else [0, 0]  # 0: no folder took it
    pages = None if arrays is None else _pages(arrays, made_from)
    for folder in (path.parent, _cache()):
        file = folder / f"{path.stem}.pages.npy"  # another name, if ever it holds something else
        with suppress(Exception):  # what a foreign file may raise cannot be foreseen
            if pages is not None:
                save(file, np.save, arr=pages)
            mapped = np.load(file, mmap_mode="c")
            if mapped["made_from"][0].tolist() == made_from:
                return mapped
    return pages


def _pages(arrays, made_from):
    """All arrays as one record: images first, as each then starts at a multiple of 64 bytes."""
    rows = {key: a.reshape((-1, 784) if key[0] == "x" else -1) for key, a in arrays.items()}
    fields = [(key, "f4" if row.ndim == 2 else "i8", row.shape) for key, row in rows.items()]
    pages = np.zeros(1, [*fields, ("made_from", "i8", 2)])
    for key, row in [*rows.items(), ("made_from", made_from)]:
        pages[key] = row
    pages["x_train"] /= 255
    pages["x_test"] /= 255
    return pages


def _digits():
    """scikit-learn's 8x8 digits, as 20x20 in MNIST's border of 4 pixels."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = zoom(x.reshape(-1, 8, 8) / 16, (1, 2.5, 2.5), order=1, mode="nearest", grid_mode=True)
    x = np.pad(x, ((0, 0), (4, 4), (4, 4))).reshape(-1, 784).astype(np.float32)
    x, x_test, y, y_test = train_test_split(x, y, test_size=300, stratify=y, random_state=0)
    x, x_val, y, y_val = train_test_split(x, y, test_size=297, stratify=y, random_state=0)
    return ImageData("digits", (28, 28), x, y, x_val, y_val, x_test, y_test, steps=60)
