from analysis.spread import show, spread


def test_mean_and_ends() -> None:
    assert spread([3.0, 1.0, 5.0]) == (3.0, 1.0, 5.0)
    assert show([1.5, 1.25]) == "1.375 (1.250–1.500)"
    assert show([0.48, 0.5], 1, percent=True) == "49.0 % (48.0–50.0)"
    assert show([1.5]) == "1.500"
