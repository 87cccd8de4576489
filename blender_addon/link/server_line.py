"""How the server is, as the panel shows it. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from ..errors import ClientError
from ..messages import failure
from .model_list import ModelInfo, read_models

ServerStateName = Literal["off", "starting", "ready", "lost", "incompatible", "failed", "stopped"]


@dataclass(frozen=True)
class ServerLine:
    """The panel's header line.

    Args:
        state: one of the names above.
        text: ready to show ("Ready · cpu · 21 GB free").
        device: name of the device, empty while unknown.
        free_bytes: free memory of the device, None while unknown.
        code: error code of messages.py when the state is failed, incompatible or not set up.
        managed: we started this server (and may stop it).
        details: full text for the clipboard.
        models: that the server knows; empty while no server answers.
        models_folder: where that server looks for their files, as it says.
    """

    kind: ClassVar[str] = "state"
    state: ServerStateName
    text: str
    device: str = ""
    free_bytes: int | None = None
    code: str = ""
    managed: bool = False
    details: str = ""
    models: tuple[ModelInfo, ...] = ()
    models_folder: str = ""


def ready_line(info: dict[str, Any], *, managed: bool) -> ServerLine:
    """The line for an answer of GET /server."""
    line = _line_of(info, managed)
    folder = info.get("models_folder")
    return replace(line, models=read_models(info), models_folder=folder if isinstance(folder, str) else "")


def _line_of(info: dict[str, Any], managed: bool) -> ServerLine:
    device = info.get("device")
    device = device if isinstance(device, dict) else {}
    name = str(device.get("name") or device.get("kind") or "")[:40]
    free = device.get("free")
    free = free if isinstance(free, int) and free >= 0 else None
    worker = info.get("worker")
    if isinstance(worker, dict) and worker.get("state") == "degraded":
        message = failure(ClientError("worker_degraded", details=str(worker.get("reason", ""))[:500]))
        return ServerLine("failed", message.text, name, free, message.code, managed, message.details)
    if isinstance(worker, dict) and worker.get("state") in ("starting", "restarting"):
        return ServerLine("starting", "Starting: loading model…", name, free, managed=managed)
    parts = ["Ready", name, f"{free / 2**30:.0f} GB free" if free else ""]
    return ServerLine("ready", " · ".join(part for part in parts if part), name, free, managed=managed)
