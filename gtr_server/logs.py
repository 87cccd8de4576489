"""Logs as JSON lines in files that rotate (five of 10 MB)."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path


class JsonLines(logging.Formatter):
    """One JSON object per record; line breaks in messages cannot forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {
            "t": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line)


def log_to(path: Path, level: int = logging.INFO) -> None:
    """Send all records of this process to ``path``."""
    handler = RotatingFileHandler(path, maxBytes=10 * 1024 * 1024, backupCount=4, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.setLevel(level)
    root.addHandler(handler)
    logging.captureWarnings(True)
