"""Who is dead: seen at once on this machine, elsewhere by a heartbeat that stands still on the watcher's own clock."""

from dataclasses import replace

from src.tracking.liveness import Liveness
from src.tracking.owner import Owner
from src.tracking.store import RunRecord

FAR = replace(Owner.here(), host="far", boot="0" * 16)


def run_of(owner: Owner | None, beat: str = "") -> RunRecord:
    tags = {} if owner is None else owner.tags()
    return RunRecord("r", "", "RUNNING", 0.0, 0.0, {**tags, "beat": beat} if beat else tags, {}, {}, "")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_process_of_this_machine_is_looked_up() -> None:
    watch = Liveness()
    assert watch.dead(run_of(Owner.here())) is None
    gone = replace(Owner.here(), started="1")
    assert watch.dead(run_of(gone)) == f"process {gone.pid} on {gone.host} is gone"


def test_a_process_elsewhere_lives_while_its_heartbeat_changes() -> None:
    clock = Clock()
    watch = Liveness(10.0, clock)
    for beat in ("", "1", "2", "3"):
        assert watch.dead(run_of(FAR, beat)) is None
        clock.now += 9
        assert watch.dead(run_of(FAR, beat)) is None


def test_a_process_elsewhere_whose_heartbeat_stands_still_is_dead() -> None:
    clock = Clock()
    watch = Liveness(10.0, clock)
    assert watch.dead(run_of(FAR, "7")) is None
    clock.now += 10.5
    assert watch.dead(run_of(FAR, "7")) == f"no sign of life from process {FAR.pid} on far for 10 s"


def test_one_look_is_never_enough() -> None:
    clock = Clock()
    clock.now = 1e9
    assert Liveness(10.0, clock).dead(run_of(FAR, "7")) is None


def test_a_run_without_an_owner_gets_the_same_time() -> None:
    clock = Clock()
    watch = Liveness(10.0, clock)
    assert watch.dead(run_of(None)) is None
    clock.now += 10.5
    assert watch.dead(run_of(None)) == "no sign of life from a process that left no name for 10 s"
