"""No reader or writer of text goes around the one way that seals it."""

import re

from tests.architecture.source import python_files

_TEXTS = re.compile(r"\b(StoredText|StoredVerdict|stored_text|FROM verdict|JOIN verdict)\b")
#: Where text is deleted, and which needs no key for it.
_DELETES = {"app/pipeline/erase.py"}


def test_whoever_touches_stored_text_takes_it_from_the_seam() -> None:
    around = {
        name
        for name, source in python_files("app", "api", "workers")
        if _TEXTS.search(source)
        and not name.startswith(("app/models/", "app/migrations/", "app/vault/texts.py"))
        and "from app.vault.texts import" not in source
        and "context.texts" not in source
    }
    assert around == _DELETES
