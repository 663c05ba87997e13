"""Signs of life, in the store: whoever looks sees what no process of its own could tell."""

from app.db import Store, Tx
from app.domain.signs import Sign

_NOTE = """
INSERT INTO vital (name, count, at) VALUES (:name, 1, {now})
ON CONFLICT (name) DO UPDATE SET count = vital.count + 1, at = excluded.at
"""


def note(tx: Tx, store: Store, sign: Sign) -> None:
    """It happened once more, just now."""
    tx.run(store.sql(_NOTE), {"name": sign.value})
