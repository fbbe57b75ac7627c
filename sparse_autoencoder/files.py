"""Files that are there whole or not at all, and that one process at a time writes."""

import contextlib
import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


def save(path, write, *args, **arrays):
    """Make a file, whole or not at all: a reader or a kill finds the old one or the new one.

    Args:
        path: of the file; its folder is made.
        write: function (open file, ...) that writes the bytes.
        *args: what else it is given.
        **arrays: the same, by name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(".part", f"{path.name}.", path.parent) as part:
        with open(Path(part) / path.name, "wb") as file:
            write(file, *args, **arrays)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the contents
        os.replace(file.name, path)


@contextlib.contextmanager
def locked(path):
    """Hold the lock of a file. The system takes it back when the process ends, killed or not.

    It is one on `path` with ".lock" behind, for `save` gives the name to another file each time.
    A file system that knows no locks is used without.

    Raises:
        BlockingIOError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "ab") as file:
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except (BlockingIOError, PermissionError) as error:  # the latter on Windows and NFS
            raise BlockingIOError(error.errno, error.strerror, str(path)) from None
        except OSError as error:
            print(f"{path} is written without a lock ({error.strerror}): start no second writer.")
        yield
