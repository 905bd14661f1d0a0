"""The example of docs/litellm.md does what it says."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from documents import ROOT, blocks
from gateway import journaled

from pointsman.schemas.settings import LiteLLMSettings

PAGE = ROOT / "docs" / "litellm.md"


def block(language: str) -> str:
    """The page's first code in this language."""
    return blocks(language, PAGE)[0].text


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", block("python")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout.strip().endswith("Yes.") and len(journaled(tmp_path / "pointsman.db")) == 2


def test_the_settings_of_the_page_are_the_defaults() -> None:
    shown = tomllib.loads(block("toml"))["litellm"]
    assert shown.pop("tracks") and LiteLLMSettings.model_validate(shown) == LiteLLMSettings()
