"""Agreement against the published examples of its inventors."""

import numpy as np
import pytest

from app.stats.agreement import alpha, alpha_nominal, alpha_ordinal, kappa

close = pytest.approx
NAN = float("nan")
#: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: 4 observers.
OBSERVED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def test_alpha_has_krippendorffs_published_values():
    said = [[value for value in unit if not np.isnan(value)] for unit in OBSERVED]
    assert alpha_nominal(said) == close(0.743, abs=5e-4)
    assert alpha_ordinal(OBSERVED) == close(0.815, abs=5e-4)
    assert alpha(OBSERVED) == close(0.849, abs=5e-4)


def test_full_agreement_is_1_and_a_scale_of_ones_own_costs_the_interval_alpha_alone():
    steps = np.array([[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]])
    assert (alpha(steps), alpha_ordinal(steps)) == (1.0, 1.0)
    harsh = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0], [8.0, 10.0]])
    assert alpha(harsh) < 1


def test_what_nobody_rated_twice_or_what_never_differs_says_nothing():
    assert alpha(np.array([[1.0, NAN], [NAN, 2.0]])) is None
    assert alpha_ordinal(np.array([[1.0, NAN], [NAN, 2.0]])) is None
    assert alpha(np.full((5, 2), 7.0)) is None
    assert alpha_nominal([["a"], ["b"]]) is None
    assert alpha_nominal([]) is None


def test_kappa_has_its_textbook_value():
    # 50 applications, two readers: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert kappa(pairs) == close(0.4)


def test_kappa_is_none_without_pairs_or_without_choice():
    assert kappa([]) is None
    assert kappa([("a", "a")] * 9) is None
