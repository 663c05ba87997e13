"""A body is read up to its cap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import MalformedCompletionError
from app.net import CappedBody


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_a_body_in_chunks_is_the_body(body: bytes, size: int) -> None:
    capped = CappedBody({}, 2000)
    for start in range(0, len(body), size):
        capped.feed(body[start : start + size])
    assert capped.finish() == body


def test_p9_a_length_in_the_headers_over_the_cap_is_refused_at_once() -> None:
    for length in ("101", "9" * 19):
        with pytest.raises(MalformedCompletionError):
            CappedBody({"content-length": length}, 100)


@pytest.mark.parametrize("length", ["", "-1", "abc", "9" * 5000, "१"])
def test_a_length_that_is_none_is_left_to_the_client(length: str) -> None:
    CappedBody({"content-length": length}, 100)
