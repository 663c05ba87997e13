"""Files that only we can read, written whole or not at all."""

import os
import tempfile
from pathlib import Path


def keep_private(path: Path, text: str, *, replace: bool) -> bool:
    """Write a file that only we can read, whole or not at all; whether it was written.

    Without `replace`, a file that is there stays, and of several writers one wins.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return _put_in_place(Path(draft), path, replace=replace)
    finally:
        Path(draft).unlink(missing_ok=True)


def _put_in_place(draft: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        draft.replace(path)
    else:
        try:
            os.link(draft, path)  # unlike a rename, it refuses to replace
        except FileExistsError:
            return False
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make durable what was put into a directory, or taken out of it."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
