"""What code made a result."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("torch", "timm", "openvino", "pytorch-lightning", "scikit-learn", "soundfile", "numpy")


@cache
def code_tags() -> dict[str, str]:
    """The commit (with `+changes` where tracked files differ from it), and versions of what computes."""
    commit = _git("rev-parse", "HEAD") or "unknown"
    changed = bool(_git("status", "--porcelain", "--untracked-files=no", "--", "src", "conf"))
    versions = " ".join(f"{name}={_version(name)}" for name in _PACKAGES)
    return {"git_commit": commit + "+changes" * changed, "versions": f"python={platform.python_version()} {versions}"}


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(_ROOT), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
