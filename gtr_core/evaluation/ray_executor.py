"""Pairs on the machines of a Ray cluster. Ray comes with the extra ``cluster`` and is imported here alone."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
from dataclasses import replace
from typing import Any

import torch

from gtr_core.data.objects import ObjectFile, TrueObject, load_object
from gtr_core.errors import ErrorCode, GtrError
from gtr_core.evaluation.pair import PairOutcome, PairTask, run_pair
from gtr_core.evaluation.system import System
from gtr_core.parallel.executor import Event, Failed
from gtr_core.parallel.guarded import Raised, event_of, guarded

_PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""
_KEPT_OBJECTS = 8
"""Objects that the cluster holds although no pair of theirs is under way; another one is read again when needed."""


class RayExecutor:
    """Implements :class:`gtr_core.parallel.executor.Executor`.

    This process is a driver on a machine of the cluster. Objects are read here, by tasks of their own, and given to the
    cluster once; rows and pictures come back as bytes. A pair is a task on the function that local processes run as
    well, without retries by Ray: the caller decides whether a lost one is given out again. Networks have to lie on
    every machine at the same path; they are told by their checksums.

    Args:
        address: of the cluster: ``host:port``, or ``auto`` for the one that this machine belongs to.
        device: of the systems; a task takes a GPU unless this is ``cpu`` or the cluster has none.

    Raises:
        GtrError: ``backend_unavailable`` without Ray, without such a cluster, or when it has no room for a task.
    """

    def __init__(self, address: str, *, device: str = "auto") -> None:
        self._ray = _connected(address)
        self._unit = "GPU" if device != "cpu" and self._ray.cluster_resources().get("GPU") else "CPU"
        self._objects: dict[ObjectFile, Any] = {}
        self._under_way: dict[Any, PairTask] = {}
        if not self.slots or (device.startswith("cuda") and self._unit == "CPU"):
            self._ray.shutdown()
            raise GtrError(
                ErrorCode.BACKEND_UNAVAILABLE,
                f"The Ray cluster at {address} has no machine with {'a GPU' if device != 'cpu' else 'a free core'}.",
                "Add one with: ray start --address.",
            )
        options = {"num_cpus": 1, "num_gpus": int(self._unit == "GPU"), "max_retries": 0}
        self._pair = self._ray.remote(**options)(_run)
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        here = strategies.NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        on_this_machine = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)
        self._read, self._carry = on_this_machine(_read), on_this_machine(_carried)

    @property
    def slots(self) -> int:
        """As many tasks as the machines that are alive have room for."""
        return int(self._ray.cluster_resources().get(self._unit, 0))

    def submit(self, task: PairTask) -> None:
        """Start a pair on any machine."""
        reference = self._objects.pop(task.file, None) or self._read.remote(task.file)
        self._objects[task.file] = reference  # the last one used comes last
        while len(self._objects) > _KEPT_OBJECTS:
            del self._objects[next(iter(self._objects))]
        system: Any = task.system
        if task.system.external:
            system = self._carry.remote(task.system, task.file.name)
        self._under_way[self._pair.remote(task, reference, system)] = task

    def wait(self, seconds: float) -> list[Event[PairTask, PairOutcome]]:
        """Results and failures."""
        if not self._under_way:
            return []
        done, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=seconds)
        return [self._event(reference) for reference in done]

    def close(self) -> None:
        """Kill what is under way and leave the cluster, which goes on."""
        for reference in self._under_way:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.cancel(reference, force=True)
        self._under_way, self._objects = {}, {}
        self._ray.shutdown()

    def _event(self, reference: Any) -> Event[PairTask, PairOutcome]:
        task = self._under_way.pop(reference)
        errors = self._ray.exceptions
        try:
            return event_of(task, self._ray.get(reference))
        except (errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError):
            self._objects.pop(task.file, None)
            return Failed(task, "Its machine left the cluster.", innocent=True)
        except errors.OutOfMemoryError:
            return Failed(task, "Its process was killed because the memory of its machine ran out.")
        except errors.WorkerCrashedError:
            return Failed(task, "Its process crashed or was killed.")
        except errors.RayError as error:
            return Failed(task, f"The cluster could not run it: {_first_line(error)}")


def _connected(address: str) -> Any:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise GtrError(
            ErrorCode.BACKEND_UNAVAILABLE,
            "Running on a cluster needs the package ray, which is not installed.",
            "Install it with: pip install 'gtr-for-blender[cluster]', or leave --cluster out.",
        ) from error
    _check_answers(address)
    # A task without a GPU runs on a machine without one, or was asked to run on the CPU: nothing has to be hidden.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _no_cluster(address, _first_line(error)) from error
    return ray


def _check_answers(address: str) -> None:
    """Fail within seconds; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in host:
        raise GtrError(
            ErrorCode.BAD_INPUT, f"{address} is no address of a cluster.", "Write it as HOST:PORT, or auto on the head."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, f"{error}.") from error


def _no_cluster(address: str, reason: str) -> GtrError:
    return GtrError(
        ErrorCode.BACKEND_UNAVAILABLE,
        f"No Ray cluster answers at {address}: {reason}",
        "Start one with: ray start --head --include-dashboard=false.",
    )


def _run(task: PairTask, true_object: TrueObject | str, system: System) -> PairOutcome | Raised:
    """A pair on a machine of the cluster; the object is a sentence where it could not be read."""

    def load(file: ObjectFile) -> TrueObject:
        del file
        if isinstance(true_object, str):
            raise GtrError(ErrorCode.BAD_INPUT, true_object)
        return true_object

    torch.set_num_threads(1)
    return guarded(lambda: run_pair(replace(task, system=system), load))


def _read(file: ObjectFile) -> TrueObject | str:
    try:
        return load_object(file)
    except GtrError as error:
        return str(error)


def _carried(system: System, name: str) -> System:
    return system.carried(name)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
