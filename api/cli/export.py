"""`overnight export`: everything of a batch in a folder, to be kept or handed on."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.client import Client, connect
from api.cli.failure import ExitCode, Failure
from api.cli.output import note, show_json
from api.cli.watch import CLOSED

MANIFEST = "manifest.json"
_RESULTS = ("jsonl", "csv", "parquet")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    batch_id: Annotated[str, typer.Argument(metavar="BATCH")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The folder to make; by default the batch's id."),
    ] = None,
    joined: Annotated[
        bool, typer.Option("--joined", help="Of a retry: with what the batches before it have.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Write everything of a batch into a folder.

    The batch, its report, and its results as JSONL (all there is), CSV and Parquet (a row for
    each completion); manifest.json has the size and SHA-256 of each. The folder is there whole,
    or not at all.

    Example: overnight export batch_01m8ac -o nightly
    """
    place = output or Path(batch_id)
    if place.exists():
        raise Failure(f"{place} is there already; name another with -o", ExitCode.USAGE)
    part = place.with_name(f"{place.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with connect() as client:
            manifest = _write_all(client, batch_id, part, joined=joined)
        part.rename(place)
    except OSError as error:
        raise Failure(f"{place} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if manifest["state"] not in CLOSED:
        note(f"the batch is {manifest['state']}: what comes later is not in it")
    if as_json:
        show_json(manifest)
    else:
        print(place)


def _write_all(client: Client, batch_id: str, part: Path, *, joined: bool) -> dict[str, Any]:
    path = f"/v1/batches/{batch_id}"
    batch = client.get(path)
    query = {"joined": "true"} if joined else {}
    files = [
        _write(part / "batch.json", [_json(batch)]),
        _write(part / "report.json", [_json(client.get(f"{path}/report"))]),
    ]
    for form in _RESULTS:
        with client.stream(f"{path}/results", format=form, **query) as pieces:
            files.append(_write(part / f"results.{form}", pieces))
    manifest = {"batch_id": batch["id"], "state": batch["state"], "joined": joined, "files": files}
    _write(part / MANIFEST, [_json(manifest)])
    return manifest


def _write(path: Path, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Write a file; what the manifest says of it."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.writelines(_seen(pieces, digest))
        size = file.tell()
    return {"name": path.name, "bytes": size, "sha256": digest.hexdigest()}


def _seen(pieces: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for piece in pieces:
        digest.update(piece)
        yield piece


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
