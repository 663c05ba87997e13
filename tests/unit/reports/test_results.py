"""How much of a batch is in memory while it is streamed."""

import pytest

from app.reports.results import _jobs_for

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("lines", "size", "jobs"),
    [
        (50, 50_000, 500),  # a thousand bytes each: as many as a piece may have
        (50, MEGABYTE, 200),  # 4 MB hold four times as many
        (200, 8 * MEGABYTE, 100),
        (1, 40 * MEGABYTE, 1),  # a line longer than a piece still goes out, alone
    ],
)
def test_a_piece_holds_fewer_jobs_the_longer_their_lines_are(
    lines: int, size: int, jobs: int
) -> None:
    assert _jobs_for(lines, size) == jobs
