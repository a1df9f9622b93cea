"""`--help`: every option of every group, each explained by the first line of its own file."""

from pathlib import Path

from omegaconf import OmegaConf

_CONF = Path(__file__).resolve().parent.parent / "conf"
_WIDTH = 30


def register() -> None:
    """Let help templates say `${options:GROUP}`."""
    OmegaConf.register_new_resolver("options", options, replace=True)


def options(group: str) -> str:
    """The options of a configuration group, a line each with its explanation."""
    lines = []
    for path in sorted((_CONF / group).glob("*.yaml")):
        comments = [line for line in path.read_text().splitlines() if line.startswith("#") and "@package" not in line]
        told = comments[0].lstrip("# ") if comments else ""
        lines.append(f"  {group + '=' + path.stem:<{_WIDTH}} {told}")
    return "\n".join(lines)
