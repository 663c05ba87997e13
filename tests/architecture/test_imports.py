"""What starts often starts fast: heavy libraries are imported where they are used."""

import subprocess
import sys

import pytest

#: Each would add a tenth of a second or more to every command, process and worker.
HEAVY = ("numpy", "pyarrow", "vl_convert", "jsonschema")


@pytest.mark.parametrize("module", ["api.main", "api.cli.commands", "workers.broker"])
def test_nothing_heavy_is_imported_by(module: str) -> None:
    check = f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []
