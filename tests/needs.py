"""What some tests need of the machine beyond packages: they run where it is there, and are named where it is not.

`EARSIGHT_TESTS=all` runs every test, so that what is not there is a failure; `.ci/run` does.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

FAKETIME = "libfaketime.so.1"
RAY = Path(__file__).resolve().parent.parent / ".venv" / "ray" / "bin" / "python"


def faketime() -> Path | None:
    """The library that fakes a process's clock."""
    return next(Path("/usr/lib").rglob(FAKETIME), None)


@cache
def _can_mount() -> bool:
    """Whether this user may mount file systems; found out in a name space that ends with the child."""
    words = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]  # noqa: S108  # mounted over, in its own name space only
    try:
        return os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


AUDIO_PROGRAMS = ("ffmpeg", "lame", "sox", "opusenc", "oggenc", "oggdec", "flac")

# fixture -> whether tests that use it can run, and what they want
NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "small_disk": (_can_mount, "root, to mount small disks (in a container: CAP_SYS_ADMIN)"),
    "read_only": (_can_mount, "root, to mount disks that cannot be written (in a container: CAP_SYS_ADMIN)"),
    "audio_programs": (
        lambda: all(map(shutil.which, AUDIO_PROGRAMS)),
        "encoders (Debian: apt-get install ffmpeg lame sox libsox-fmt-all opus-tools vorbis-tools flac)",
    ),
    "bound": (_can_mount, "root, to mount a folder at two places (in a container: CAP_SYS_ADMIN)"),
    "postgres": (
        lambda: "EARSIGHT_POSTGRES" in os.environ,
        "PostgreSQL: EARSIGHT_POSTGRES=postgresql://USER:PASSWORD@HOST:PORT, of a user who may create databases",
    ),
    "clock_library": (lambda: faketime() is not None, "libfaketime (Debian: apt-get install faketime)"),
    "ray_python": (RAY.exists, "the environment for Ray that docs/sweeps.md tells how to make"),
}


def missing(fixtures: Sequence[str]) -> list[str]:
    """What a test with these fixtures lacks on this machine."""
    if os.environ.get("EARSIGHT_TESTS") == "all":
        return []
    return [wanted for fixture, (there, wanted) in NEEDS.items() if fixture in fixtures and not there()]
