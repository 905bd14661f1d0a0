"""A real Prometheus on loopback that scrapes a server with its token, and what its API says."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from alertmanaging import free_port, until
from programs import program

RULES = Path(__file__).parents[1] / "ops" / "prometheus"


class Prometheus:
    """Questions to a running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now; raises where it does not parse."""
        answer = httpx.post(f"{self.url}/api/v1/query", data={"query": expression}, timeout=20)
        said = answer.json()
        if said["status"] != "success":
            raise ValueError(f"{expression}: {said['error']}")
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    def number(self, expression: str) -> float:
        """The value of the only series; 0 where there is none."""
        found = self.ask(expression)
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def prometheus(folder: Path, target: str, token: str) -> Iterator[Prometheus]:
    """Prometheus by the configuration of ops, five times a second, until the end; it has scraped once."""
    found: dict[str, Any] = yaml.safe_load((RULES / "prometheus.yml").read_text())
    found["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    found["rule_files"] = [str(RULES / name) for name in found["rule_files"]]
    found.pop("alerting")
    found["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    (folder / "token").write_text(token)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(found))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("prometheus", ["prometheus"]),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asked = Prometheus(url)
        until(lambda: _is_up(asked))
        yield asked
    finally:
        process.kill()
        process.wait()


def _is_up(asked: Prometheus) -> bool:
    try:
        return asked.number('up{job="pointsman"}') == 1.0
    except (httpx.HTTPError, ValueError):  # starting: it answers 503 in plain text
        return False
