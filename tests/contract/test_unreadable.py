"""An answer that cannot be read was made all the same, and its vendor may say what it used."""

from app.domain.errors import MalformedCompletionError
from tests.contract.languages import Said
from tests.contract.speakers import Speaker
from tests.contract.test_adapters import each_language


@each_language
def test_p7_an_answer_that_cannot_be_read_keeps_the_usage_that_it_tells(speaker: Speaker) -> None:
    language = speaker.language
    whole = language.answer(Said())
    told = {name: whole[name] for name in ("usage", "usageMetadata") if name in whole}
    error = speaker.failure({**language.nothing[1], **told})
    assert isinstance(error, MalformedCompletionError)
    assert error.usage == speaker.read(whole).usage
    for nothing in (b"", b"<html>", b"[]", b"{}"):
        assert speaker.failure(nothing).usage is None  # never an estimate of ours
    for junk in (None, "12", {}, dict.fromkeys(language.usage, -5)):
        assert speaker.failure(dict.fromkeys(told, junk)).usage is None
