"""`overnight rank` gives anybody's battles the ratings that a report would give them."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from api.cli.failure import ExitCode
from tests.factories.battles import TEAMS, make_season
from tests.unit.cli.conftest import Overnight

SEASON = [{"a": one.first, "b": one.second, "winner": "a"} for one in make_season()]


def write(path: Path, rows: Iterable[dict[str, object]]) -> Path:
    rows = list(rows)
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("name", ["games.csv", "games.jsonl", "games.parquet"])
def test_the_season_of_1987_is_ranked_from_any_format(
    name: str, tmp_path: Path, overnight: Overnight, capsys: pytest.CaptureFixture[str]
):
    assert overnight("rank", str(write(tmp_path / name, SEASON)), "--json") == ExitCode.DONE
    shown = json.loads(capsys.readouterr().out)
    assert shown["battles"] == 273
    assert [row["name"] for row in shown["ratings"]] == list(TEAMS)
    best = shown["ratings"][0]
    assert (best["rank"], best["group"], best["wins"]) == (1, 1, 50)
    assert best["rating"] == pytest.approx(1092.27, abs=0.01)
    assert best["theta"] == pytest.approx(0.531153, abs=1e-4)


def test_people_see_a_table_with_intervals(
    tmp_path: Path, overnight: Overnight, capsys: pytest.CaptureFixture[str]
):
    path = write(tmp_path / "games.csv", SEASON)
    assert overnight("rank", str(path), "--bootstrap", "100") == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "Milwaukee" in shown
    assert "1022-1163" in shown
    assert "bootstrap" in shown


def test_a_winner_is_a_side_a_name_or_nobody_and_other_datasets_columns_are_known(
    tmp_path: Path, overnight: Overnight, capsys: pytest.CaptureFixture[str]
):
    sides = [("x", "y", "model_a"), ("x", "y", "y"), ("y", "z", "TIE"), ("z", "x", "tie (bothbad)")]
    rows = [dict(zip(("model_a", "model_b", "winner"), side, strict=True)) for side in sides]
    path = write(tmp_path / "games.jsonl", rows)
    assert overnight("rank", str(path), "--json") == ExitCode.DONE
    wins = {row["name"]: row["wins"] for row in json.loads(capsys.readouterr().out)["ratings"]}
    assert wins == {"x": 1.5, "y": 1.5, "z": 1.0}


def test_what_cannot_be_compared_or_has_no_bound_is_said(
    tmp_path: Path, overnight: Overnight, capsys: pytest.CaptureFixture[str]
):
    rows = [
        {"a": "best", "b": "worst", "winner": "best"},
        {"a": "here", "b": "there", "winner": "tie"},
    ]
    assert overnight("rank", str(write(tmp_path / "games.csv", rows))) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "not comparable" in shown
    assert "best, worst are held" in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b,winner\nx,y,a\nx,y,zed\n", "line 3: winner is 'zed'"),
        ("a,b,winner\nx,y\n", "line 2: it has 2 cells, and the header 3"),
        ("a,b,winner\nx,x,a\n", "line 2: 'x' meets itself"),
        ("a,b,winner\nx,,a\n", "line 2: b is empty"),
        ("a,b\nx,y\n", "line 2: winner is missing"),
        ("a,b,winner\nb,a,a\n", "line 2: winner 'a' is the name of one and the place of the"),
        ('a,b,winner\n"x,y,a\n', "line 2: it is no CSV"),
        ("a,b,winner\n", "has no battles"),
        ("", "has no battles"),
    ],
)
def test_a_row_that_is_no_battle_is_named(
    text: str,
    problem: str,
    tmp_path: Path,
    overnight: Overnight,
    capsys: pytest.CaptureFixture[str],
):
    path = tmp_path / "games.csv"
    path.write_text(text)
    assert overnight("rank", str(path)) == ExitCode.USAGE
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("games.jsonl", b'{"a": 1}\n{"a"', "line 1: b is missing"),
        ("games.jsonl", b'\n{"a"\n', "line 2: it is no JSON"),
        ("games.jsonl", b"[1]\n", "line 1: it is no JSON object"),
        ("games.csv", b"a,b,winner\n\xff\xfe,b,a\n", "not UTF-8"),
        ("games.parquet", b"PAR1 is not enough", "is no Parquet file"),
        ("games.xls", b"", "give a file that ends in"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    name: str,
    data: bytes,
    problem: str,
    tmp_path: Path,
    overnight: Overnight,
    capsys: pytest.CaptureFixture[str],
):
    path = tmp_path / name
    path.write_bytes(data)
    assert overnight("rank", str(path)) == ExitCode.USAGE
    assert problem in capsys.readouterr().err


def test_a_file_that_is_not_there_is_missed(overnight: Overnight, tmp_path: Path):
    assert overnight("rank", str(tmp_path / "none.csv")) == ExitCode.USAGE
