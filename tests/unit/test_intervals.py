"""Intervals of differences are those that their sources print."""

import pytest

from agentrecord.store._intervals import mean_difference, share_difference, student, wilson


def test_wilsons_interval_is_the_one_of_newcombes_paper() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857–872, table I: 81 of 263, 15 of 148.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_the_interval_of_two_shares_is_the_one_of_newcombes_paper() -> None:
    # Newcombe (1998), Statistics in Medicine 17, 873–890, table II, method 10: 56/70 - 48/80.
    assert share_difference(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert share_difference(0, 0, 1, 2) is None


@pytest.mark.parametrize(("freedom", "quantile"), [(5, 2.5706), (10, 2.2281), (29, 2.0452), (120, 1.9799)])
def test_students_quantile_is_the_one_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=1e-3)


def test_the_interval_of_two_means_is_welchs() -> None:
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5]
    low, high = mean_difference(a, b) or (0.0, 0.0)
    # By hand: means 21.000 and 23.367, squared errors 2.6173 and 0.7409, 7.61 degrees of freedom, t = 2.327.
    assert (low, high) == pytest.approx((-1.898, 6.631), abs=0.02)
    assert mean_difference([1.0], b) is None
    assert mean_difference([1.0, 1.0], [2.0, 2.0]) == (1.0, 1.0)
