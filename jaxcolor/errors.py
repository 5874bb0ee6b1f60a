"""The exception for errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix. Its message is one line: what is wrong, and what to do.

    The scripts print it as `error: …` and exit with status 1, without a traceback.
    """


def describe(error: UserError | OSError) -> str:
    """Return what is wrong in a line."""
    if isinstance(error, UserError):
        return str(error)
    where = f" {error.filename}" if error.filename else ""
    return f"cannot read or write{where}: {reason(error)}"


def reason(error: BaseException) -> str:
    """Return the first line of another library's error, for the message of a `UserError`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "too little memory"
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" :") if lines else type(error).__name__
