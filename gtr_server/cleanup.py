"""Making room: results that were deleted or are the oldest of too many, blobs that nobody needs."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from gtr_server.blobs import BlobStore, digests_in
from gtr_server.limits import BLOB_HOURS, DATA_QUOTA
from gtr_server.problems import Problem
from gtr_server.settings import Settings
from gtr_server.store import Store

log = logging.getLogger(__name__)


def forget(store: Store, settings: Settings, job_id: str) -> None:
    """Purge a finished job: first in the store, then its files.

    Raises:
        Problem: ``busy`` when something still needs it.
    """
    store.purge(job_id)
    shutil.rmtree(settings.jobs / job_id, ignore_errors=True)


def clean(store: Store, settings: Settings, blobs: BlobStore, quota: int = DATA_QUOTA) -> None:
    """Purge the oldest finished jobs above the quota, and remove blobs out of use for a day."""
    finished = store.finished_oldest_first()
    sizes = {job.id: _size(settings.jobs / job.id) for job in finished}
    total = sum(sizes.values())
    for job in finished:
        if total <= quota:
            break
        try:
            forget(store, settings, job.id)
        except Problem:
            continue  # something still needs it
        total -= sizes[job.id]
        log.info("Job %s was purged: the disk quota is used up", job.id)
    needed = set().union(*map(digests_in, store.unfinished_requests()))
    removed = blobs.collect(needed, BLOB_HOURS * 3600)
    if removed:
        log.info("%d blobs out of use were removed", removed)


def _size(folder: Path) -> int:
    """Bytes of a folder; a file that several jobs share counts in parts."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(status.st_size // max(status.st_nlink, 1) for status in found)
