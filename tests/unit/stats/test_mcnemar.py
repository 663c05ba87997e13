"""McNemar's exact test against scipy's binomial one."""

import pytest
from scipy import stats

from app.stats.mcnemar import mcnemar


@pytest.mark.parametrize(
    ("gained", "lost"), [(0, 0), (1, 0), (5, 0), (4, 1), (10, 10), (3, 14), (900, 1100)]
)
def test_the_exact_p_is_that_of_a_fair_coin(gained: int, lost: int) -> None:
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


def test_a_count_is_not_negative() -> None:
    with pytest.raises(ValueError, match="not negative"):
        mcnemar(-1, 2)
