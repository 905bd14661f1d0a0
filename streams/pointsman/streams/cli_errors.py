"""Errors of the command line as a person reads them: one line that says what, where and what to do; exit code 2 for what a user can mend."""

import errno

import click

INTERRUPTED = 130
FORESEEN = ("sqlite3", "zlib", "zstd", "zstandard", "pointsman.", "aiokafka.")
_EXTRAS = {
    **dict.fromkeys(("river", "psutil", "rich", "zstandard"), "embedded"),
    **dict.fromkeys(("fastapi", "httptools", "uvicorn", "uvloop", "starlette"), "serve"),
    **dict.fromkeys(("grpc", "grpc_health", "google"), "keda"),
    "aiokafka": "kafka",
    "faust": "worker",
    "prometheus_client": "prometheus",
}
_ADVICE = {
    errno.ENOSPC: "free some space, and run it again",
    errno.EIO: "copy the file to another disk, or give another one",
    errno.EADDRINUSE: "give another --port, or end what listens there",
    errno.ECONNREFUSED: "check the address, and that it is running there",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def failure(message: str) -> click.ClickException:
    """An error that a user can mend."""
    failed = click.ClickException(message)
    failed.exit_code = 2
    return failed


def line_of(error: click.ClickException) -> str:
    """An error as one line; one of usage says whose help to read."""
    said = " ".join(error.format_message().split()).replace(" Did you mean", "; did you mean").replace(".;", ";")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        said = f"{said.rstrip('.')} (see {error.ctx.command_path} --help)"
    return said


def explained(error: Exception) -> click.ClickException | None:
    """What a person is told of an error; None for one that nobody foresaw."""
    if isinstance(error, ModuleNotFoundError):
        if str(error.name).startswith("pointsman"):
            return failure(f"this version has no {error.name}: install a newer one")
        extra = _EXTRAS.get(str(error.name).partition(".")[0], "all")
        return failure(f"{error.name} is not installed: pip install 'pointsman[{extra}]'")
    from pointsman.schemas.settings import SettingsError

    if isinstance(error, SettingsError | OSError | EOFError | ValueError | LookupError) or type(error).__module__.startswith(FORESEEN):
        return failure(_sentence(error))
    return None


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return f"{what}; {_ADVICE.get(error.errno or 0, 'check the path and its permissions')}"
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())


__all__ = ["INTERRUPTED", "explained", "failure", "line_of"]
