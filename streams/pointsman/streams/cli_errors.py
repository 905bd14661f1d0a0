"""Errors of the command line as a person reads them: one line that says what, where and what to do; exit code 2 for what a user can mend."""

import click

FORESEEN = ("sqlite3", "zlib", "zstd", "zstandard", "pointsman.", "aiokafka.")


def failure(message: str) -> click.ClickException:
    """An error that a user can mend."""
    failed = click.ClickException(message)
    failed.exit_code = 2
    return failed


def explained(error: Exception) -> click.ClickException | None:
    """What a person is told of an error; None for one that nobody foresaw."""
    if isinstance(error, ModuleNotFoundError):
        if str(error.name).startswith("pointsman"):
            return failure(f"this version has no {error.name}: install a newer one")
        return failure(f"{error.name} is not installed: pip install 'pointsman[all]'")
    from pointsman.schemas.settings import SettingsError

    if isinstance(error, SettingsError | OSError | EOFError | ValueError | LookupError) or type(error).__module__.startswith(FORESEEN):
        return failure(_sentence(error))
    return None


def _sentence(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "a compressed file ends too early: copy or record it again"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}; check the path and its permissions"
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())


__all__ = ["explained", "failure"]
