import pytest

from jaxcolor.cli import run_script
from jaxcolor.errors import UserError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("lower --batch-size"), "error: lower --batch-size"),
        (
            OSError(28, "No space left on device", "runs/a"),
            "error: cannot read or write runs/a: No space left on device",
        ),
    ],
)
def test_errors_are_one_line(error: Exception, line: str) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_script(main)
    assert stopped.value.code == line


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: print(1 // 0))
