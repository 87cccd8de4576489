"""How clients find the server: a private file with its address and key, and a lock that only a living server holds."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True)
class State:
    """Contents of the state file."""

    port: int
    token: str
    pid: int
    version: str
    instance_id: str

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://{HOST}:{self.port}/api/v1"

    def document(self, api: dict[str, str]) -> dict[str, Any]:
        """The file as JSON."""
        return {
            "product": "gtr",
            "pid": self.pid,
            "host": HOST,
            "port": self.port,
            "token": self.token,
            "version": self.version,
            "api": api,
            "instance_id": self.instance_id,
        }


def write(path: Path, document: dict[str, Any]) -> None:
    """Put the file in place at once, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    temporary.replace(path)


def read(path: Path) -> State | None:
    """The state, or None when the file is absent or not one of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["product"] != "gtr":
            return None
        return State(
            int(found["port"]), str(found["token"]), int(found["pid"]), str(found["version"]), str(found["instance_id"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(path: Path, instance_id: str) -> None:
    """Remove the file if it is still this server's."""
    found = read(path)
    if found is not None and found.instance_id == instance_id:
        path.unlink(missing_ok=True)


def answers(state: State, timeout: float = 2.0) -> bool:
    """Whether the server of this state answers and proves that it knows the token; the token is not sent."""
    nonce = secrets.token_hex(16)
    connection = http.client.HTTPConnection(HOST, state.port, timeout=timeout)
    try:
        connection.request("GET", f"/api/v1/health?nonce={nonce}")
        answer = json.loads(connection.getresponse().read(65536))
        proof = hmac.new(state.token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        return bool(hmac.compare_digest(str(answer["proof"]).encode(), proof.encode()))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()
