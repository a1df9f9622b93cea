"""Starts commands as forks of a process that has imported everything: real processes, begun in milliseconds.

Reads a JSON line per order on standard input, answers with one on standard output.
"""

import importlib
import json
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HEAVY = (
    "torch", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "pytorch_lightning", "sklearn.linear_model",
    "matplotlib.pyplot", "pandas", "hydra", "src.experiment", "src.config.build", "src.cli.sweep",
    "src.cli.sweep_table",
    "src.head.linear", "src.head.training", "src.backbone.pixels", "src.spectrogram.waveform", "src.data.split",
    "src.data.folder", "src.tracking.results",
)  # fmt: skip
_STAGES = {"prepare": "extraction", "log_results": "logging"}


def _marked(function: Callable[..., Any], stage: str, file: int) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        os.pwrite(file, f"{stage:<12}".encode(), 0)
        try:
            return function(*args, **kwargs)
        finally:
            os.pwrite(file, f"{'between':<12}".encode(), 0)

    return wrapped


def _mark_stages(path: str) -> None:
    """Keep a file that says what the process is at."""
    from src import experiment
    from src.head.linear import Linear
    from src.tracking.server import Server

    file = os.open(path, os.O_CREAT | os.O_RDWR)
    Linear.fit = _marked(Linear.fit, "fit", file)  # type: ignore[method-assign]  # a wrapper in its place
    Server.deliver = _marked(Server.deliver, "delivery", file)  # type: ignore[method-assign]  # a wrapper in its place
    for name, stage in _STAGES.items():
        setattr(experiment, name, _marked(getattr(experiment, name), stage, file))


def _child(order: dict[str, Any]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["cwd"])
    os.environ.update(order["environment"])
    status = 1
    try:
        if order["stage"]:
            _mark_stages(order["stage"])
        sys.argv = [order["module"], *order["args"]]
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve until standard input ends."""
    sys.path.insert(0, str(Path(__file__).parent / "tracking"))
    for name in _HEAVY:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps({"ready": True}), flush=True)  # noqa: T201  # the answer to the test
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _child(order)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)  # noqa: T201  # the answer to the test


if __name__ == "__main__":
    main()
