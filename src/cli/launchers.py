"""What the launcher of a sweep means for each of its jobs: how many threads are its own, and what must be installed."""

import importlib.util
from collections.abc import Mapping
from typing import Any

_EXTRAS = {
    "ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "submitit_slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
}


def threads(launcher: Mapping[str, Any], cores: int) -> int:
    """Threads that a job may extract with, so that all jobs of this machine together use each core once.

    Args:
        launcher: Hydra's settings of it. cores: that this process may use.
    """
    if "n_jobs" in launcher:
        jobs = int(launcher["n_jobs"])
        # joblib counts -1 as all cores, -2 as all but one
        jobs = jobs if jobs > 0 else cores + 1 + jobs
        return max(1, cores // max(1, jobs))
    if "ray" in launcher:
        # Ray's own default
        return max(1, min(cores, int(launcher["ray"]["remote"].get("num_cpus", 1))))
    return max(1, min(cores, int(launcher.get("cpus_per_task") or cores)))


def missing(launcher: str) -> str | None:
    """How to install what a launcher needs, or None where it is there."""
    plugin, extra = _EXTRAS.get(launcher, ("src", ""))
    try:
        there = importlib.util.find_spec(plugin) is not None
    except ModuleNotFoundError:
        there = False
    return None if there else f"hydra/launcher={launcher}: not installed; install it with: pip install -e '.[{extra}]'"
