"""Runs read back from the store, and which of them count for which cell."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from src.config.select_run import dataset_and_place, of_one_data
from src.errors import UserError
from src.tracking.cell import Cell, tested
from src.tracking.expected_cell import ExpectedCell
from src.tracking.predictions import PREDICTIONS, Predictions, read_predictions
from src.tracking.store import RunRecord, Store

log = logging.getLogger(__name__)

_NEEDED = (
    "identity",
    "dataset",
    "origin",
    "data_digest",
    "seed",
    "backbone",
    "weights",
    "spectrogram",
    "head",
    "settings",
)


class RunSelector:
    """Every run of the store, sorted into the cells of a report.

    FINISHED runs alone count. Of several of one seed the newest does. All cells of a dataset show the same clips, those
    at hand where any run saw them, else those of its newest finished run; two folders of the same name are two
    datasets. All whose network `backbone=auto` chose show the same one, which most of them have.
    """

    def __init__(self, store: Store) -> None:
        """Read the runs once."""
        self._store = store
        self._runs: dict[str, list[RunRecord]] = defaultdict(list)
        for run in store.runs():  # newest first
            if all(tag in run.tags for tag in _NEEDED) and "backbone._target_" in run.params:
                self._runs[run.tags["dataset"]].append(run)
        self.predictions = cache(self._predictions)

    def cells(self, wanted: Sequence[ExpectedCell]) -> list[Cell]:
        """What the store has for each, in order."""
        accepted = {id(one): [run for run in self._runs[one.title] if one.accepts(run)] for one in wanted}
        data = _chosen_data(wanted, accepted)
        network = _commonest_network(wanted, accepted, data)
        return [self._cell(one, accepted[id(one)], data.get(one.data), network) for one in wanted]

    def _cell(self, wanted: ExpectedCell, runs: Sequence[RunRecord], data: str | None, network: "_Network") -> Cell:
        same = [run for run in runs if data in (None, run.tags["data_digest"])]
        if wanted.auto and network is not None:
            name, weights = network
            same = [run for run in same if run.tags["backbone"] == name]
            same = [run for run in same if wanted.random_weights or run.tags["weights"] == weights]
        same = _one_network(same)
        by_seed: dict[int, list[RunRecord]] = {seed: [] for seed in wanted.seeds}
        for run in same:
            seed = int(run.tags["seed"]) if wanted.seeded else wanted.seeds[0]
            if seed in by_seed:
                by_seed[seed].append(run)
        finished = {seed: [run for run in found if run.status == "FINISHED"] for seed, found in by_seed.items()}
        cell = Cell(
            wanted,
            runs=tuple(found[0] for found in finished.values() if found),
            rerun=sum(len(found) - 1 for found in finished.values() if found),
            ended=tuple(_how(found[0]) for seed, found in by_seed.items() if found and not finished[seed]),
            left_out=len({run.run_id for run in runs if run.status == "FINISHED"} - {run.run_id for run in same}),
        )
        return self._read(cell) if cell.runs else cell

    def _read(self, cell: Cell) -> Cell:
        try:
            found = [self.predictions(run.run_id) for run in cell.runs]
            return replace(cell, predictions=found[0], tested=tested(found, cell.runs))
        except UserError as error:
            return replace(cell, error=str(error))

    def _predictions(self, run_id: str) -> Predictions:
        return read_predictions(self._store.artifact(run_id, PREDICTIONS), run_id)


_Network = tuple[str, str] | None


def _chosen_data(wanted: Iterable[ExpectedCell], accepted: dict[int, list[RunRecord]]) -> dict[str, str]:
    """Digest of the clips that the cells of each dataset show; empty where its runs are of other folders."""
    runs: dict[str, list[RunRecord]] = defaultdict(list)
    settings: dict[str, Mapping[str, Any]] = {}
    for one in wanted:
        runs[one.data] += [run for run in accepted[id(one)] if run.status == "FINISHED"]
        settings[one.data] = one.settings
    found = {}
    for data in (data for data in runs if runs[data]):
        try:
            chosen, _ = of_one_data(runs[data], *dataset_and_place(settings[data]))
            found[data] = chosen[0].tags["data_digest"]
        except UserError as error:
            log.warning("%s", error)
            found[data] = ""
    return found


def _commonest_network(
    wanted: Iterable[ExpectedCell], accepted: dict[int, list[RunRecord]], data: dict[str, str]
) -> _Network:
    """Backbone and weights of most (cell, seed) pairs; of the newest run where two are as common."""
    covered: Counter[tuple[str, str]] = Counter()
    newest: dict[tuple[str, str], float] = {}
    for one in wanted:
        if not one.auto or one.random_weights:
            continue
        pairs = set()
        for run in accepted[id(one)]:
            if run.status == "FINISHED" and run.tags["data_digest"] == data[one.data]:
                network = (run.tags["backbone"], run.tags["weights"])
                pairs.add((*network, run.tags["seed"]))
                newest[network] = max(newest.get(network, 0.0), run.started)
        covered.update((name, weights) for name, weights, _ in pairs)
    return max(covered, key=lambda network: (covered[network], newest[network]), default=None)


def _one_network(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Only those with the backbone and weights of the newest finished one."""
    finished = [run for run in runs if run.status == "FINISHED"]
    if not finished:
        return list(runs)
    newest = (finished[0].tags["backbone"], finished[0].tags["weights"])
    return [run for run in runs if (run.tags["backbone"], run.tags["weights"]) == newest]


def _how(run: RunRecord) -> str:
    reason = run.tags.get("reason", "").splitlines()
    return f"seed {run.tags['seed']}: {run.status.lower()}" + (f" ({reason[0]})" if reason else "")
