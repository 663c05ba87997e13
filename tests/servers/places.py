"""Where a server is kept, and where its binary is."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.servers.processes import ServerError


@contextmanager
def temporary_directory(uid: int | None = None) -> Iterator[Path]:
    """A folder for the block, owned by the user that a server runs as, its path short."""
    parent = Path(tempfile.gettempdir())
    directory = Path(tempfile.mkdtemp(prefix="ovn-", dir=parent if is_open(parent) else "/tmp"))
    try:
        if uid is not None:
            os.chown(directory, uid, -1)
        yield directory
    finally:
        shutil.rmtree(directory)


def is_open(path: Path) -> bool:
    """Whether any user can reach and use it."""
    real = path.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (real, *real.parents))


def binary_of(package: str, pattern: str) -> Path:
    """What an installed package keeps at a place inside it, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerError(f"{package} is not installed; make .venv")
    found = next(Path(spec.origin).parent.glob(pattern), None)
    if found is None:
        raise ServerError(f"{package} has no {pattern} for this platform")
    return found
