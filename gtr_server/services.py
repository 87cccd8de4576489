"""Everything that the request handlers work with."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field

from gtr_server.blobs import BlobStore
from gtr_server.events import EventLog
from gtr_server.leases import Leases
from gtr_server.lifetime import Lifetime
from gtr_server.limits import DISK_RESERVE
from gtr_server.outcomes import Outcomes
from gtr_server.problems import Problem, ProblemCode
from gtr_server.settings import Settings
from gtr_server.store import Store
from gtr_server.supervisor import Supervisor


@dataclass
class Services:
    """The parts of one server. ``port`` is known once the socket is bound."""

    settings: Settings
    token: str
    store: Store
    blobs: BlobStore
    events: EventLog
    outcomes: Outcomes
    supervisor: Supervisor
    leases: Leases
    lifetime: Lifetime
    port: int = 0
    instance_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def require_room(self, size: int = 0) -> None:
        """Refuse what would fill the disk.

        Raises:
            Problem: ``disk_full``.
        """
        free = shutil.disk_usage(self.settings.data).free
        if free - size < DISK_RESERVE:
            needed = (size + DISK_RESERVE) / 2**30
            text = f"Disk is full: {needed:.1f} GB needed, {free / 2**30:.1f} GB free."
            raise Problem(ProblemCode.DISK_FULL, text)


def build(settings: Settings, token: str) -> Services:
    """Open the data of ``settings.home`` and put right what the last run left; starts no worker yet."""
    settings.jobs.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database)
    events = EventLog(store.count_start())
    outcomes = Outcomes(settings, store, events)
    for job in store.recover():
        outcomes.tell(job)
    supervisor = Supervisor(settings, outcomes)
    leases = Leases(settings.lease_ttl)
    if settings.owner_lease:
        leases.renew(settings.owner_lease)
    lifetime = Lifetime(settings, leases, store.active, supervisor.unload)
    return Services(settings, token, store, BlobStore(settings.blobs), events, outcomes, supervisor, leases, lifetime)
