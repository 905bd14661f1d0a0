"""The rings: schemas ← models ← core ← shells and sinks; imports go inwards only, wherever in a module they stand."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = {"advisor", "core", "live_series", "predictions", "resources", "routing", "scope", "signals", "snapshot", "workload"}
IMPURE = {"asyncio", "datetime", "logging", "os", "random", "socket", "threading", "time", "uuid"}
ALLOWED = {
    "schemas": {"schemas"},
    "models": {"schemas", "models"},
    "core": {"schemas", "models", "core"},
    "sinks": {"schemas", "models", "sinks"},
    "shells": {"schemas", "models", "core", "sinks", "shells"},
}
MODULES = sorted(path for folder in ("schemas", "models", "streams", "sinks") for path in (ROOT / folder / "pointsman").rglob("*.py"))


def ring(module: str) -> str:
    """The ring of a dotted name within `pointsman`."""
    parts = module.split(".")
    if parts[0] != "streams":
        return parts[0]
    return "core" if len(parts) > 1 and parts[1] in CORE else "shells"


def imports(path: Path) -> Iterator[str]:
    """Every dotted name that a module imports, relative ones resolved."""
    package = [*path.relative_to(path.parents[2]).parts[1:-1]] if path.parents[2].name == "pointsman" else [path.parent.name]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(["pointsman", *package]) if node.level else ""
            name = ".".join(filter(None, (base, node.module)))
            yield from (f"{name}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_a_module_imports_inwards_only(path: Path) -> None:
    own = ring(f"{path.parent.name}.{path.stem}")
    inner = {ring(name.removeprefix("pointsman.")) for name in imports(path) if name.startswith("pointsman.")}
    assert inner <= ALLOWED[own]


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name == "models" or path.stem in CORE], ids=lambda path: path.stem)
def test_the_core_has_no_clock_no_io_and_no_dice(path: Path) -> None:
    allowed = {"random"} if path.stem == "structure" else set()  # it writes down where a model's own seeded source is
    assert not {name.split(".")[0] for name in imports(path)} & (IMPURE - allowed)


@pytest.mark.parametrize("module", ["pointsman.schemas", "pointsman.models.decision", "pointsman.models.sketch"])
def test_what_a_producer_or_router_needs_is_light(module: str) -> None:
    program = f"import sys, {module}; assert not {{'river', 'aiokafka', 'faust', 'psutil'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
