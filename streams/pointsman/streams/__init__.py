"""The core and the shells around it: embedded, replay, command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Core
    from .dual_track import DualTrackOptimizer
    from .embedded import Optimizer
    from .producer import Producer, SyncProducer
    from .sampler import ResourceSampler

__all__ = ["Core", "DualTrackOptimizer", "Optimizer", "Producer", "ResourceSampler", "SyncProducer"]

_HOMES = {
    "Core": "core",
    "DualTrackOptimizer": "dual_track",
    "Optimizer": "embedded",
    "Producer": "producer",
    "ResourceSampler": "sampler",
    "SyncProducer": "producer",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that a light install can use the parts that need no learner."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        extra = "kafka" if error.name == "aiokafka" else "embedded"
        raise ImportError(f'{name} needs {error.name}: pip install "pointsman[{extra}]"') from error
