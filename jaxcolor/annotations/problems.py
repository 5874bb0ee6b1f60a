"""The problems of annotation files, which are reported together."""

import contextlib
from collections.abc import Iterator

from jaxcolor.errors import UserError

SHOWN = 50  # problems in the report: a large file may have one per annotation


class Problems(list[str]):
    """One line per problem."""

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note a `UserError` instead of raising it."""
        try:
            yield
        except UserError as error:
            self.append(str(error))

    def check(self) -> None:
        """Print the problems and raise `UserError`, if there are any. A single one is the error itself."""
        if len(self) > 1:
            print(self._report(), flush=True)
            raise UserError("there are problems, listed above: nothing is written")
        if self:
            raise UserError(self[0])

    def _report(self) -> str:
        """Return the problems as lines."""
        count = len(self)
        lines = [f"{count} problem{'s' if count > 1 else ''}:", *(f"  {line}" for line in self[:SHOWN])]
        return "\n".join(lines + ([f"  … and {count - SHOWN} others"] if count > SHOWN else []))
