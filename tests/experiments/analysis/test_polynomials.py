from fractions import Fraction

import pytest
from analysis.polynomials import Polynomial, lagrange, recover

GRID = {"x": (1, 2, 5), "y": (0, 3)}


def test_a_polynomial_is_recovered_exactly() -> None:
    found = recover(lambda x, y: x * (x + 1) // 2 * y - 7, GRID, [(100, -9)])
    half = Fraction(1, 2)
    assert found == Polynomial(("x", "y"), {(2, 1): half, (1, 1): half, (0, 0): Fraction(-7)})
    assert found(4, 10) == 93


def test_other_functions_are_refused() -> None:
    with pytest.raises(ValueError, match="no such polynomial: .* at \\(4, 1\\), not 64"):
        recover(lambda x, y: x**3, GRID, [(5, 1), (4, 1)])


def test_basis_by_hand() -> None:
    # (x − 3)(x − 5) / 8, −(x − 1)(x − 5) / 4 and (x − 1)(x − 3) / 8
    basis = [[15, -8, 1], [-5, 6, -1], [3, -4, 1]]
    assert lagrange((1, 3, 5)) == [
        [Fraction(c, d) for c in cs] for cs, d in zip(basis, (8, 4, 8), strict=True)
    ]


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({(2, 2, 0): 1, (2, 1, 1): 12, (2, 0, 1): -1, (0, 1, 0): 4}, "k²(a² + 12a·b − b) + 4a"),
        ({(2, 0, 2): -1536}, "−1536k²·b²"),
        ({(1, 0, 0): -1, (0, 0, 0): -3}, "−k − 3"),
        ({(0, 1, 0): Fraction(-1, 2), (0, 0, 12): 1}, "−(1/2)a + b¹²"),
        ({(1, 1, 0): -2, (1, 0, 1): 1, (0, 0, 0): 1}, "k(−2a + b) + 1"),
        ({}, "0"),
    ],
)
def test_written_as_by_hand(terms: dict[tuple[int, ...], int], text: str) -> None:
    assert str(Polynomial(("k", "a", "b"), {e: Fraction(c) for e, c in terms.items()})) == text
