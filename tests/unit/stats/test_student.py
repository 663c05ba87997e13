"""Critical values of Student's t, against the printed table."""

from statistics import NormalDist

import pytest

from app.stats.student import t_critical


@pytest.mark.parametrize(
    ("freedom", "critical"),
    [
        # NIST/SEMATECH e-Handbook 1.3.6.7.2, column 0.975.
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (9, 2.262),
        (10, 2.228),
        (29, 2.045),
        (30, 2.042),
        (60, 2.000),
        (100, 1.984),
    ],
)
def test_ninety_five_percent_matches_the_table(freedom: int, critical: float):
    assert t_critical(freedom) == pytest.approx(critical, abs=5e-4)


@pytest.mark.parametrize(
    ("freedom", "confidence", "critical"),
    [(10, 0.99, 3.169), (10, 0.90, 1.812), (30, 0.99, 2.750), (1, 0.99, 63.657), (5, 0.998, 5.893)],
)
def test_other_confidences_match_the_table(freedom: int, confidence: float, critical: float):
    assert t_critical(freedom, confidence) == pytest.approx(critical, abs=5e-4)


def test_where_the_quantile_has_a_closed_form_it_is_met_exactly():
    # F^-1(p) = tan(pi (p - 1/2)) for one degree of freedom; (2p - 1) / sqrt(2p (1 - p)) for two.
    assert t_critical(1, 0.5) == pytest.approx(1.0, rel=1e-12)
    assert t_critical(2, 0.95) == pytest.approx(0.95 / (2 * 0.975 * 0.025) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("freedom", [10_000, 100_000, 10_000_000])
def test_many_degrees_of_freedom_approach_the_normal_distribution(freedom: int):
    normal = NormalDist().inv_cdf(0.975)
    # The first term of Cornish and Fisher's expansion: z + (z^3 + z) / 4n.
    expected = normal + (normal**3 + normal) / (4 * freedom)
    assert t_critical(freedom) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("freedom", "confidence"), [(0, 0.95), (-1, 0.95), (5, 0), (5, 1)])
def test_what_has_no_quantile_is_a_mistake_of_ours(freedom: int, confidence: float):
    with pytest.raises(ValueError, match="degree of freedom"):
        t_critical(freedom, confidence)
