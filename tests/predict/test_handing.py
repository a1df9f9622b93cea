"""A run handed on: what the command says, and that it works when it is typed."""

import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from src.errors import UserError
from src.predict.export import export


@pytest.fixture
def run_id(bench, write_clips):
    write_clips(bench.folder / "sounds", ["high", "low"], 10, seconds=0.2)
    return bench.run("dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'").run_id


@pytest.fixture
def said(bench, compose, capsys):
    """`said(words)`: what `python -m src.predict action=register words` says, for the bench's runs."""

    def act(*words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        runs = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'", "workers=1"]
        export(compose([*places, *runs, *words], "predict"))
        return capsys.readouterr().out

    return act


def test_it_says_where_the_model_is_and_how_to_serve_it(bench, run_id, said):
    told = said(f"run={run_id}")
    served = next(word for word in shlex.split(told.splitlines()[4]) if word.endswith("/served"))
    assert (Path(served) / "MLmodel").is_file()
    assert "MLFLOW_TRACKING_URI" not in told
    again = said(f"run={run_id}", f"name={bench.experiment}")
    assert f"Registered as {bench.experiment}, version 1" in again
    assert f"MLFLOW_TRACKING_URI={bench.store().uri} mlflow models serve" in again
    assert f"-m models:/{bench.experiment}/1" in again
    with pytest.raises(UserError, match=r"limits\.clips"):
        said(f"run={run_id}", "limits.clips=many")


class Server:
    """`mlflow models serve`, as the command said."""

    def __init__(self, command: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        words = shlex.split(command.replace("5001", str(self.port)))
        given = {word.split("=", 1)[0]: word.split("=", 1)[1] for word in words if word.startswith("MLFLOW_")}
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTHONPATH"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.log = folder / "serve.log"
        self._written = self.log.open("wb")
        self.process = subprocess.Popen(
            [word for word in words if word not in (f"{k}={v}" for k, v in given.items())],
            cwd=folder, env=clean | given | quiet | {"PATH": path}, stdout=self._written,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def alive(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/ping", timeout=60).status_code == 200
        except OSError:
            return False

    def wait(self) -> None:
        end = time.monotonic() + 300
        while not self.alive():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.2)

    def ask(self, body: bytes | str, kind: str = "application/json") -> tuple[int, str]:
        content = body.encode() if isinstance(body, str) else body
        url = f"http://127.0.0.1:{self.port}/invocations"
        answer = requests.post(url, content, headers={"Content-Type": kind}, timeout=120)
        return answer.status_code, answer.text

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=60)
        self._written.close()


def asked(audio: object) -> str:
    return json.dumps({"dataframe_split": {"columns": ["audio"], "data": [[audio]]}})


@pytest.mark.slow
def test_it_serves_and_outlives_what_it_refuses(bench, run_id, said, tmp_path):
    told = said(f"run={run_id}", f"name={bench.experiment}", "limits.request_mb=2.0", "limits.seconds=30.0")
    commands = [line.strip() for line in told.splitlines() if "mlflow models serve" in line or "curl" in line]
    server = Server(commands[0], tmp_path)
    try:
        server.wait()
        clip = bench.folder / "sounds" / "low" / "03.wav"
        ask = " ".join(line.strip() for line in told.splitlines()[-2:])
        ask = ask.replace("CLIP.wav", shlex.quote(str(clip))).replace("5001", str(server.port))
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        stored = bench.store().artifact(run_id, "predictions.csv").decode().splitlines()
        row = next(line for line in stored if line.startswith("low/03.wav")).split(",")
        [found] = json.loads(done.stdout)["predictions"]
        assert [str(value) for value in found["probabilities"].values()] == row[7:]
        assert found["label"] == row[4]
        good = base64.b64encode(clip.read_bytes()).decode()
        for body in (json.dumps({"instances": [{"audio": good}]}), json.dumps({"inputs": [{"audio": good}]})):
            status, content = server.ask(body)
            assert (status, json.loads(content)["predictions"]) == (200, [found])
        refused = [
            (asked("aGVsbG8="), 400, "clip 0: not readable as audio"),
            (asked("no base64!"), 400, "clip 0: not base64"),
            (asked(17), 400, "clip 0: got int; expected an audio file as base64 text"),
            (asked(None), 400, "clip 0: got NoneType"),
            (asked("A" * 2_100_000), 400, "clip 0: longer than 2 million characters"),
            (json.dumps({"dataframe_split": {"columns": ["sound"], "data": [[good]]}}), 400, "missing inputs"),
            (json.dumps({"instances": [17]}), 400, "clip 0: not base64"),
            ("no json", 400, "valid JSON"),
            ("{}", 400, "exactly one of the input fields"),
            (b"\xff\xfe\x00", 400, ""),
        ]
        for body, status, text in refused:
            answer = server.ask(body)
            assert answer[0] == status, answer
            assert text in answer[1]
        assert server.ask(clip.read_bytes(), "audio/wav")[0] == 415
        assert server.alive()
        status, content = server.ask(asked(good))
        assert (status, json.loads(content)["predictions"]) == (200, [found])
    finally:
        server.stop()
