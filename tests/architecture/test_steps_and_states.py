"""The house rules of steps, states and tables."""

import ast
import re
from enum import StrEnum
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.domain import states
from app.domain.states import (
    ATTEMPT_MOVES,
    BATCH_MOVES,
    CALL_MOVES,
    DELIVERY_MOVES,
    JOB_MOVES,
)
from app.models import Table
from app.queue import Step
from workers.actor import ACTORS

ROOT = Path(__file__).parents[2]
ACTORS_DIR = ROOT / "workers" / "actors"
MACHINES = [BATCH_MOVES, JOB_MOVES, CALL_MOVES, ATTEMPT_MOVES, DELIVERY_MOVES]


def test_every_step_has_exactly_one_actor() -> None:
    import workers.actors  # noqa: F401, PLC0415 - importing it registers them

    assert set(ACTORS) == set(Step)
    names = {path.stem for path in ACTORS_DIR.glob("*.py")} - {"__init__"}
    assert names == {step.value for step in Step}


@pytest.mark.parametrize("step", list(Step))
def test_an_actor_calls_one_use_case_and_nothing_else(step: Step) -> None:
    tree = ast.parse((ACTORS_DIR / f"{step.value}.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(functions) == 1
    calls = [node for node in ast.walk(functions[0]) if isinstance(node, ast.Call)]
    decorators = {id(node) for node in functions[0].decorator_list}
    assert len([call for call in calls if id(call) not in decorators]) == 1


@pytest.mark.parametrize("moves", MACHINES, ids=lambda moves: type(next(iter(moves))).__name__)
def test_a_state_machine_names_every_state_and_ends(
    moves: dict[StrEnum, frozenset[StrEnum]],
) -> None:
    kind = type(next(iter(moves)))
    assert set(moves) == set(kind)
    assert any(not onward for onward in moves.values())
    for onward in moves.values():
        assert onward <= set(kind)


def test_every_state_column_has_a_check_of_its_states() -> None:
    by_table = {
        "batch": states.BatchState,
        "job": states.JobState,
        "call": states.CallState,
        "attempt": states.AttemptState,
        "delivery": states.DeliveryState,
        "lane": states.LaneState,
    }
    found = {table.name for table in Table.metadata.tables.values() if "state" in table.columns}
    assert found == set(by_table)
    for name, kind in by_table.items():
        checks = [
            str(constraint.sqltext)
            for constraint in Table.metadata.tables[name].constraints
            if isinstance(constraint, sa.CheckConstraint)
        ]
        check = next(text for text in checks if text.startswith("state IN"))
        assert set(re.findall(r"'(\w+)'", check)) == {state.value for state in kind}


def test_money_is_a_big_integer_and_says_its_scale() -> None:
    for table in Table.metadata.tables.values():
        for column in table.columns:
            assert not isinstance(column.type, (sa.Float, sa.Numeric)), f"{table}.{column.name}"
            if column.name.endswith("_nanos"):
                assert isinstance(column.type, sa.BigInteger), f"{table}.{column.name}"


def test_our_own_tables_have_a_state_and_never_a_status() -> None:
    for table in Table.metadata.tables.values():
        assert "status" not in table.columns, table.name


def test_the_ledger_names_nobody_and_points_nowhere() -> None:
    ledger = Table.metadata.tables["ledger_entry"]
    assert not ledger.foreign_keys
    assert not {"name", "email", "label"} & set(ledger.columns.keys())
