"""OpenVINO's engine in a process that is interrupted."""

import subprocess
import sys

import pytest
from running import environment

# The CPU plugin replaces the signal stack of the thread that loads it and later unmaps it. A thread whose stack is gone
# ends the process by SIGSEGV at its next signal.
PROGRAM = """
import os, signal, sys, threading
import torch
from src.backbone.openvino_engine import OpenVino

def load():
    return OpenVino(torch.nn.Flatten(), (3, 4, 4), "float32", 1)

first = load()
if sys.argv[1] == "in the order they were loaded":
    second = load()
    del first
    del second
elif sys.argv[1] == "by another thread":
    engines = [first]
    del first
    thread = threading.Thread(target=engines.clear)
    thread.start()
    thread.join()
for _ in range(3):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("freed", ["never", "in the order they were loaded", "by another thread"])
def test_a_process_can_be_interrupted_however_its_engines_were_freed(freed):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, freed], capture_output=True, text=True, env=environment(), check=False
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n" * 3), done.stderr
