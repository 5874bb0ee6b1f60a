"""Polynomials in several variables, recovered exactly from their values."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby, product
from math import prod
from typing import NamedTuple

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Polynomial(NamedTuple):
    """The variables, and the coefficients other than 0 by the exponents of the variables."""

    variables: tuple[str, ...]
    terms: dict[tuple[int, ...], Fraction]

    def __call__(self, *values: int) -> Fraction:
        """Return the value for these values of the variables."""
        result = Fraction(0)
        for exponents, coefficient in self.terms.items():
            result += coefficient * prod(map(pow, values, exponents))
        return result

    def __str__(self) -> str:
        """Return it as written by hand, ordered by powers of the first variable: k²(NC² + 8NF) + 4NC."""
        first, *others = self.variables
        groups = []
        for power, terms in groupby(sorted(self.terms.items(), reverse=True), lambda term: term[0][0]):
            outer = _monomial([first], [power])
            inner = [(coefficient, _monomial(others, rest)) for (_, *rest), coefficient in terms]
            if outer and len(inner) > 1:
                groups.append((Fraction(1), f"{outer}({_sum(inner)})"))
            else:
                groups += [(number, "·".join(filter(None, (outer, factors)))) for number, factors in inner]
        return _sum(groups)


def recover(
    function: Callable[..., int], nodes: Mapping[str, Sequence[int]], checks: Sequence[Sequence[int]]
) -> Polynomial:
    """The polynomial with a function's values wherever its arguments, the variables, are among their nodes.

    By Lagrange's interpolation along each variable, whose degree is less than it has nodes. ValueError where
    the function differs from it at one of `checks`, values of the variables besides.
    """
    bases = [lagrange(points) for points in nodes.values()]
    terms: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for places in product(*map(range, map(len, bases))):
        value = function(*(points[place] for points, place in zip(nodes.values(), places, strict=True)))
        factors = [basis[place] for basis, place in zip(bases, places, strict=True)]
        for exponents in product(*map(range, map(len, factors))):
            terms[exponents] += value * prod(f[power] for f, power in zip(factors, exponents, strict=True))
    polynomial = Polynomial(tuple(nodes), {exponents: term for exponents, term in terms.items() if term})
    for values in checks:
        expected, found = function(*values), polynomial(*values)
        if found != expected:
            raise ValueError(
                f"no such polynomial: {polynomial} is {found} at {tuple(values)}, not {expected}"
            )
    return polynomial


def lagrange(nodes: Sequence[int]) -> list[list[Fraction]]:
    """Return, for each node, the coefficients of the polynomial that is 1 there and 0 at the others."""
    basis = []
    for node in nodes:
        coefficients = [Fraction(1)]
        for other in nodes:
            if other != node:  # times (x − other) / (node − other)
                scaled = [coefficient / (node - other) for coefficient in coefficients]
                shifted = [Fraction(0), *scaled]
                coefficients = [a - other * b for a, b in zip(shifted, [*scaled, Fraction(0)], strict=True)]
        basis.append(coefficients)
    return basis


def _monomial(variables: Sequence[str], exponents: Sequence[int]) -> str:
    return "·".join(
        name + (str(power).translate(SUPERSCRIPTS) if power > 1 else "")
        for name, power in zip(variables, exponents, strict=True)
        if power
    )


def _sum(terms: Iterable[tuple[Fraction, str]]) -> str:
    """Return a sum of terms, each a number times a text."""
    text = ""
    for coefficient, factors in terms:
        number = abs(coefficient)
        shown = str(number) if number.denominator == 1 else f"({number})"
        shown = factors if number == 1 and factors else shown + factors
        sign = "−" if coefficient < 0 else "+"
        text += f" {sign} {shown}" if text else shown if coefficient > 0 else f"−{shown}"
    return text or "0"
