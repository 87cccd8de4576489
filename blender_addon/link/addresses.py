"""Server addresses as people type them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from ..errors import ClientError


def normalize_url(text: str) -> str:
    """``host``, ``host:port`` or a URL, with or without a slash at the end, as base URL with ``/api/v1``.

    Raises:
        ClientError: ``not_gtr`` when it is no address at all.
    """
    text = text.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError as error:
        raise ClientError("not_gtr", details=f"not an address: {text}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ClientError("not_gtr", details=f"not an address: {text}")
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}/api/v1"


def is_loopback(text: str) -> bool:
    """Whether an address stays on this computer (and needs no online access)."""
    try:
        return ipaddress.ip_address(urlsplit(normalize_url(text)).hostname or "").is_loopback
    except ValueError:
        return False
