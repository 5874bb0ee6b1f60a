"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: one line that says what is wrong and what to do.

    Scripts print it as `error: …` and exit with status 1, without a traceback.
    """


def reason(error: BaseException) -> str:
    """The first line of another library's error, to be quoted in a `UserError`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" :") if lines else type(error).__name__
