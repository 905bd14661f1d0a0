"""The core and the shells around it: embedded, replay, command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core import Core
    from .dual_track import DualTrackOptimizer
    from .embedded import Optimizer
    from .sampler import ResourceSampler

__all__ = ["Core", "DualTrackOptimizer", "Optimizer", "ResourceSampler"]

_HOMES = {"Core": "core", "DualTrackOptimizer": "dual_track", "Optimizer": "embedded", "ResourceSampler": "sampler"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that a light install can use the parts that need no learner."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        raise ImportError(f'{name} needs {error.name}: pip install "pointsman[embedded]"') from error
