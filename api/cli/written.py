"""Reports that the API writes: fetched whole, then printed or kept."""

import sys
import tempfile
import webbrowser
from pathlib import Path

from api.cli.client import Client
from api.cli.failure import ExitCode, Failure

FORMATS = ("md", "csv", "html")


def fetch(client: Client, path: str, form: str, **asked: str) -> bytes:
    """A report in one of `FORMATS`; `asked` is what else its query says."""
    if form not in FORMATS:
        raise Failure(f"--format: give one of {', '.join(FORMATS)}", ExitCode.USAGE)
    with client.stream(path, format=form, **asked) as pieces:
        return b"".join(pieces)


def put(written: bytes, output: Path | None) -> None:
    """Write it to a file, or print it."""
    if output is None:
        sys.stdout.write(written.decode())
        return
    try:
        output.write_bytes(written)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}") from None


def show(written: bytes, output: Path | None) -> None:
    """Keep a page, in a file that only its owner reads unless one is named, and open it."""
    place = output or _new_page()
    put(written, place)
    if not webbrowser.open(place.resolve().as_uri()):
        print(place)


def _new_page() -> Path:
    with tempfile.NamedTemporaryFile(prefix="overnight-", suffix=".html", delete=False) as file:
        return Path(file.name)
