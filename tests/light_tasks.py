"""Tasks without the core: for tests of everything around them, in worker processes that start at once."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from gtr_server.reporter import Reporter
from gtr_server.wire import Run


class Tasks:
    """The interface of :class:`gtr_server.tasks.Tasks`."""

    def __init__(self, device: str) -> None:
        self.device = device

    def do(self, run: Run, report: Reporter) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
        for stage in ("load", "fuse", "extract", "save"):
            report(stage, 0, 1)
        if run.task == "refine":
            self._refine(run, report)
        (Path(run.folder) / "log.json").write_text(run.job)
        return [{"name": "log.json", "sha256": "0" * 64, "bytes": len(run.job)}], ["light"], {"seconds": report.close()}

    def _refine(self, run: Run, report: Reporter) -> None:
        for step in range(run.request["steps"]):
            report("texture", step, run.request["steps"])
            report.preview("colors", step, lambda path: np.savez(path, colors=np.zeros((2, 3), np.uint8)))
            if report.should_finish():
                return
            time.sleep(0.005)

    def warm_up(self) -> None:
        pass

    def unload(self) -> None:
        pass

    def device_info(self) -> dict[str, Any]:
        return {"kind": "cpu", "name": "light", "free": 1, "total": 2}
