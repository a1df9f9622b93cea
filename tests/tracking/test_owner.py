"""A process is known by its machine's start, its number and when it began."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from src.tracking.owner import Owner


def test_this_process_lives_and_comes_back_from_its_tags() -> None:
    here = Owner.here()
    assert here.pid == os.getpid()
    assert here.is_near
    assert here.lives
    assert Owner.of(here.tags()) == here


def test_a_later_process_of_the_same_number_is_another() -> None:
    here = Owner.here()
    assert not replace(here, started=str(int(here.started) - 1)).lives


def test_a_killed_process_is_dead_before_and_after_its_parent_asks() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        # field 22 of proc(5) /proc/PID/stat
        started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        owner = replace(Owner.here(), pid=process.pid, started=started)
        assert owner.lives
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not owner.lives
    assert not owner.lives


def test_another_start_of_the_machine_is_not_near() -> None:
    assert not replace(Owner.here(), boot="0" * 16).is_near


def test_tags_without_an_owner() -> None:
    assert Owner.of({}) is None
    assert Owner.of({**Owner.here().tags(), "pid": "many"}) is None
