"""Starts a Ray cluster of several machines on this one, evaluates on it, and says in a file how it went.

In a process of its own, because Ray leaves files open, of which the tests' own process would be told as errors.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation_systems import Faulty, Shrunk, WaitsOnce, evaluation

from gtr_core.errors import GtrError
from gtr_core.evaluation.external import ExternalMeshes
from gtr_core.evaluation.pair import run_pair
from gtr_core.evaluation.ray_executor import RayExecutor
from gtr_core.evaluation.run import Evaluation, evaluate
from gtr_core.io.mesh_files import read_mesh, write_mesh
from gtr_core.parallel.local_executor import LocalExecutor

MACHINE = {"object_store_memory": 80_000_000, "include_dashboard": False}


def plan_of(folder: Path, meshes: Path) -> Evaluation:
    """Systems that work, fail and die, and meshes of another program for one of two objects."""
    plan = evaluation(folder, [], "ab")
    if not meshes.exists():
        meshes.mkdir()
        write_mesh(read_mesh(plan.objects[0].path), meshes / "a.ply")
    systems = [Shrunk(), Faulty(how="error"), Faulty(name="killed", how="kill", on="b")]
    return replace(plan, systems=[*systems, ExternalMeshes("other", meshes)])


def report_of(plan: Evaluation) -> dict[str, Any]:
    """Rows, and sizes of the files with pictures and meshes."""
    header = plan.report.header()
    assert header is not None
    kinds = ("pictures", "meshes")
    files = {str(p.relative_to(plan.report.root)): p for kind in kinds for p in plan.report.root.glob(f"{kind}/*/*")}
    return {
        "rows": [row.to_dict() for row in plan.report.all_rows(header)],
        "files": {name: path.read_bytes().hex() for name, path in files.items()},
    }


def same_report(folder: Path, cluster: Any) -> dict[str, Any]:
    """The same evaluation by processes and by the cluster."""
    local, remote = (plan_of(folder / place, folder / "meshes") for place in ("local", "remote"))
    evaluate(local, lambda: LocalExecutor(1, 1, run_pair))
    evaluate(remote, lambda: RayExecutor(cluster.address))
    return {"local": report_of(local), "remote": report_of(remote)}


def machines_die(folder: Path, cluster: Any) -> dict[str, Any]:
    """All machines but the head go away under a pair, and another one comes."""
    mark = folder / "called"
    plan = evaluation(folder / "dying", [WaitsOnce(mark=mark)], "a")
    machines = [node for node in cluster.list_all_nodes() if node is not cluster.head_node]

    def change_machines(stage: str, done: int, total: int) -> None:
        if mark.exists() and machines:
            while machines:
                cluster.remove_node(machines.pop(), allow_graceful=False)
            cluster.add_node(num_cpus=1, **MACHINE)

    evaluate(plan, lambda: RayExecutor(cluster.address), change_machines)
    return report_of(plan)


def no_cluster() -> str:
    """What is said when nobody answers."""
    try:
        RayExecutor("127.0.0.1:1")
    except GtrError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """Run everything on one cluster, which is stopped however it ends."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=0, **MACHINE)  # a head that runs no pairs
        for _ in range(2):
            cluster.add_node(num_cpus=1, **MACHINE)
        outcome = {"same": same_report(folder, cluster), "dying": machines_die(folder, cluster)}
    finally:
        ray.shutdown()
        cluster.shutdown()
    (folder / "outcome.json").write_text(json.dumps({**outcome, "nobody": no_cluster()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
