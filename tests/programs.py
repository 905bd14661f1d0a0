"""Programs that tests use for real (Java, Prometheus, PostgreSQL, a browser): found on the machine, else installed as packages where that can be done."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from glob import glob
from pathlib import Path
from typing import Never

import pytest

REQUIRED = "POINTSMAN_REQUIRE_PROGRAMS"


def program(name: str, packages: Sequence[str] = (), *, places: str = "") -> str:
    """The path of a program, on the PATH or at the glob `places`; where it is missing, the test fails if the variable is set, and is skipped otherwise."""
    found = _found(name, places)
    if found is None and packages:
        install(tuple(packages))
        found = _found(name, places)
    if found is None:
        lacking(f"{name} is not here: install {' '.join(packages) or name}")
    return found


def lacking(reason: str) -> Never:
    """Fail the test where everything is required (CI), skip it elsewhere."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def install(packages: tuple[str, ...]) -> None:
    """Install packages once, on a Debian-like system, as root; elsewhere nothing happens."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    with (Path(tempfile.gettempdir()) / "pointsman-tests-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes, and apt-get runs once at a time
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        subprocess.run(command, capture_output=True, check=False, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"})


def _found(name: str, places: str) -> str | None:
    return shutil.which(name) or max(glob(places), default=None) if places else shutil.which(name)
