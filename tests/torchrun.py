"""A script in two processes, started by torchrun."""

import subprocess
import sys
from pathlib import Path


def torchrun(script: Path, *arguments: object) -> str:
    """What it prints; it has to end well, and without a warning that would be an error in a test."""
    start = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1", str(script)]
    command = [sys.executable, "-m", *start, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "UserWarning" not in done.stderr, done.stderr[-3000:]
    return done.stdout
