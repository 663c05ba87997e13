"""The wheel holds all that runs: what is not code in it, too."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "api", "workers")
#: What a page is made with, run from nowhere near this tree.
MAKE_PAGE = """
import pathlib, sys
import app
from app.reports.page import template
assert pathlib.Path(app.__file__).is_relative_to(sys.argv[1]), app.__file__
for name in ("report.html", "against.html"):
    print(template(name).name)
"""


def test_the_wheel_has_every_file_of_its_packages_and_pages_are_made_from_it(
    tmp_path: Path,
) -> None:
    [built] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"))
    with ZipFile(built) as wheel:
        names = set(wheel.namelist())
        wheel.extractall(tmp_path / "installed")
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert {"app/reports/templates/report.html", "api/cli/demo_prompts.jsonl"} <= wanted

    command = [sys.executable, "-c", MAKE_PAGE, str(tmp_path / "installed")]
    # The folder that it is run in comes before whatever is installed.
    made = subprocess.run(
        command, cwd=tmp_path / "installed", capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == ["report.html", "against.html"]
