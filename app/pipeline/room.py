"""room: how full the disks are that we write to, so that it is said before nothing can be written."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings

#: Scarce is less than a tenth of a disk, but on a large one only what is less than this.
FREE_BYTES_MIN = 5 * 1024**3
_SHARE_MIN = 10
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Room:
    """What is left on the disk of a directory."""

    path: Path
    free_bytes: int
    total_bytes: int

    @property
    def is_scarce(self) -> bool:
        """Whether somebody should be told."""
        return self.free_bytes < min(FREE_BYTES_MIN, self.total_bytes // _SHARE_MIN)

    @property
    def warning(self) -> str:
        """What to tell them."""
        return (
            f"the disk of {self.path} has {self.free_bytes / _GIB:.1f} GiB left of "
            f"{self.total_bytes / _GIB:.0f}: make room, or set retention_days; when it is full, "
            "submissions and uploads are refused until there is room"
        )


def rooms(settings: Settings) -> list[Room]:
    """Each disk that we write to, once. A database server's own is not seen from here."""
    found: dict[int, Room] = {}
    for path in _places(settings):
        usage = shutil.disk_usage(path)
        found.setdefault(path.stat().st_dev, Room(path, usage.free, usage.total))
    return list(found.values())


def _places(settings: Settings) -> Iterator[Path]:
    wanted = [settings.data_dir]
    if settings.files_base_url.startswith("file://"):
        wanted.append(Path(settings.files_base_url.removeprefix("file://")))
    for path in wanted:
        there = next((one for one in (path, *path.parents) if one.is_dir()), None)
        if there is not None:
            yield there
