"""`pointsman serve --demo`: a server that fills up with recorded traffic, from nothing to its end, and stays."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pointsman.schemas import encode
from pointsman.schemas.settings import Settings

from .demo import CONFIG, RECORDING
from .demo_fault import faulty_demo
from .play import SPEED, Play
from .recording import read_lines
from .serve import run


def run_demo(
    database: Path | None, settings: Settings, speed: float | None, fault: str | None, *, host: str | None, port: int | None, say: Callable[[str], object]
) -> None:
    """Serve the demo's recording on its tracks until SIGTERM, in `database` or in one that goes with the server; with a fault in it where one is named.

    Raises `ServeError`.
    """
    play = recorded(SPEED if speed is None else speed, fault)
    chosen = settings.model_copy(update={name: getattr(CONFIG, name) for name in type(CONFIG).model_fields})
    with TemporaryDirectory(prefix="pointsman-demo-") as folder:
        run(database or Path(folder) / "demo.db", chosen, has_config=True, host=host, port=port, say=say, play=play)


def recorded(speed: float, fault: str | None = None) -> Play:
    """The recording that ships, from now on; with a fault of this kind in it where one is named."""
    lines = (line for _, line in read_lines(RECORDING)) if fault is None else (encode(event) for event in faulty_demo(fault)[0])
    events = [json.loads(line) for line in lines]
    return Play([(float(fields["occurred_at"]), fields) for fields in events], speed, time.time())


__all__ = ["recorded", "run_demo"]
