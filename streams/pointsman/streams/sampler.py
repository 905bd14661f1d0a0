"""A resource sampler that users switch on: what this host has in use, as `resource.sampled` events."""

import logging
import socket
import threading
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any, Self

import psutil

from .embedded import Optimizer

MEGABYTE = 1e6

log = logging.getLogger(__name__)


def sample() -> dict[str, Any]:
    """One measurement; what the machine has no sensor for is absent."""
    fields: dict[str, Any] = {"cpu_percent": psutil.cpu_percent(), "memory_used_mb": round(psutil.virtual_memory().used / MEGABYTE, 1)}
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is not None:
        fields |= {"battery_percent": min(max(float(battery.percent), 0.0), 100.0), "battery_charging": bool(battery.power_plugged)}
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    readings = [entry.current for entries in sensors.values() for entry in entries if entry.current is not None]
    if readings:
        fields["temperature_c"] = max(readings)
    return fields | _gpu()


def _gpu() -> dict[str, Any]:
    """The busiest GPU's use and the memory of all, as NVIDIA's library says; nothing where it or a GPU is missing."""
    try:
        nvml: Any = import_module("pynvml")
    except ModuleNotFoundError:
        return {}
    try:
        nvml.nvmlInit()
        devices = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
        if not devices:
            return {}
        used = sum(nvml.nvmlDeviceGetMemoryInfo(device).used for device in devices)
        busiest = max(nvml.nvmlDeviceGetUtilizationRates(device).gpu for device in devices)
    except nvml.NVMLError:
        return {}
    return {"gpu_percent": float(busiest), "gpu_memory_used_mb": round(used / MEGABYTE, 1)}


class ResourceSampler:
    """Samples every `interval_s` seconds on a thread of its own, for as long as the `with` lasts; `measure` may be a sampler of your own.

    Unless told, the interval is `intervals.sample_s` of the optimizer's configuration.
    """

    def __init__(
        self, optimizer: Optimizer, *, scope: str, host: str | None = None, interval_s: float | None = None, measure: Callable[[], dict[str, Any]] = sample
    ) -> None:
        self._optimizer = optimizer
        self._scope = scope
        self._host = host or socket.gethostname()
        self._interval = optimizer.config.intervals.sample_s if interval_s is None else interval_s
        self._measure = measure
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pointsman-sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._optimizer.record_resources(scope=self._scope, host=self._host, **self._measure())
            except ValueError as error:
                log.warning("a sample of %s was refused: %s", self._host, error)
            if self._stopped.wait(self._interval):
                return
