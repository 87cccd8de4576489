"""How much of everything one server accepts."""

from __future__ import annotations

MAX_IMAGES = 256
MAX_PIXELS = 64_000_000
"""Pixels of one image; the core refuses larger ones from their header, before decoding."""
MAX_JOB_PIXELS = 400_000_000
"""Pixels of all images of a job together."""
MAX_SIDE = 1024
"""Pictures are reduced to this longer side: more detail than the planes and the grid can hold costs memory only."""
MAX_BLOB_BYTES = 64 * 1024 * 1024
"""Enough for a float32 normal map of 5 megapixels."""
MAX_JSON_BYTES = 1024 * 1024
MAX_QUEUED = 100
MAX_WAIT_SECONDS = 20
THREADS = 16
MAX_WAITERS = THREADS // 2
"""Long-polls at one time: the other threads stay free for everybody else."""
DISK_RESERVE = 512 * 1024 * 1024
"""Free bytes below which nothing new is accepted."""
DATA_QUOTA = 20 * 1024**3
"""Bytes of finished jobs; beyond it the oldest are purged."""
BLOB_HOURS = 24
KEY_HOURS = 24
"""How long an idempotency key is remembered."""
