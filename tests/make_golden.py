"""Store the results that tests/test_golden.py compares with; its docstring says when that may be done."""

import json
import tempfile
from pathlib import Path
from typing import Any

from test_golden import GOLDEN, arithmetic, measure_features, measure_runs


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write("features", {"arithmetic": arithmetic(), "features": measure_features(Path(folder))})
    with tempfile.TemporaryDirectory() as folder:
        write("runs", measure_runs(Path(folder)))


def write(name: str, content: dict[str, Any]) -> None:
    """One line for each entry, so that a change can be read."""
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{name}.json").write_text(lines(content, 2) + "\n", "utf8")


def lines(value: Any, depth: int) -> str:
    """JSON with a line for each entry down to a depth."""
    if depth == 0 or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[\n" + ",\n".join(lines(one, depth - 1) for one in value) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(one, depth - 1)}" for key, one in value.items()) + "\n}"


if __name__ == "__main__":
    main()
