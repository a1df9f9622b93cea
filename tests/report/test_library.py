from pathlib import Path

import numpy as np
import pytest

from src.features.labelled import Runtime, contents_at_hand
from tests.report.conftest import NETWORK

RIGHT = np.ones(10, dtype=bool)


@pytest.fixture
def pair(cells):
    """Two cells of one dataset."""
    return cells("table2_network", "dataset=composer", "preprocess=unprocessed,normalized")


def test_without_runs_everything_is_missing(shelf, pair):
    first, _ = shelf.desk(pair).cells
    assert first.runs == ()
    assert first.missing == (0, 1, 2, 3, 4)
    assert first.tested is None and first.error == "" and first.origin == ""


def test_runs_land_in_their_cells_in_the_order_of_seeds(shelf, pair):
    for seed in (3, 0):
        shelf.add(pair[1], seed, RIGHT)
    plain, normal = shelf.desk(pair).cells
    assert plain.runs == ()
    assert normal.seeds == (0, 3)
    assert normal.missing == (1, 2, 4)
    assert [run.run_id for run in normal.runs] == [shelf.added[pair[1].name, seed] for seed in (0, 3)]


def test_failed_running_and_killed_runs_do_not_count(shelf, pair):
    shelf.add(pair[0], 0, RIGHT, failure="out of memory\nand more")
    killed = shelf.add(pair[0], 1, RIGHT)
    shelf.store.client.set_terminated(killed, "KILLED")
    running = shelf.add(pair[0], 2, RIGHT)
    shelf.store.client.update_run(running, "RUNNING")
    cell = shelf.desk(pair).cells[0]
    assert cell.runs == ()
    assert cell.ended == ("seed 0: failed (RuntimeError: out of memory)", "seed 1: killed", "seed 2: running")


def test_a_failed_run_beside_a_finished_one_is_no_matter(shelf, pair):
    finished = shelf.add(pair[0], 0, RIGHT)
    shelf.add(pair[0], 0, RIGHT, failure="later")
    cell = shelf.desk(pair).cells[0]
    assert [run.run_id for run in cell.runs] == [finished]
    assert cell.ended == ()


def test_of_several_finished_runs_of_a_seed_the_newest_counts(shelf, pair):
    shelf.add(pair[0], 0, ~RIGHT)
    newest = shelf.add(pair[0], 0, RIGHT)
    cell = shelf.desk(pair).cells[0]
    assert [run.run_id for run in cell.runs] == [newest]
    assert cell.rerun == 1
    assert cell.accuracies == [1.0]


def test_all_cells_of_a_dataset_show_the_newest_data(shelf, pair):
    for seed in (0, 1):
        shelf.add(pair[0], seed, RIGHT, data="old")
        shelf.add(pair[1], seed, RIGHT, data="old")
    shelf.add(pair[1], 0, RIGHT, data="new", origin="recorded")
    plain, normal = shelf.desk(pair).cells
    assert plain.runs == () and plain.left_out == 2
    assert normal.seeds == (0,) and normal.left_out == 2
    assert normal.origin == "recorded"


@pytest.fixture
def folders(tmp_path, write_clips, dataset_settings):
    """Two folders called `birds`, and the digest of the clips that are in each now."""
    found = {}
    for number, place in enumerate(("here", "there")):
        root = tmp_path / place / "birds"
        write_clips(root, ["a", "b"], 2 + number)
        where = Runtime(tmp_path / "data", tmp_path / "cache", 1, lambda _: None)
        found[root] = contents_at_hand(dataset_settings(root), where).digest()
    return found


def birds(cells, tmp_path, root):
    words = [f"paths.data={tmp_path}/data", f"paths.cache={tmp_path}/cache", "seed=0,1"]
    (cell,) = cells("", "dataset=folder", f"dataset.root={root}", *words)
    return cell


def test_runs_of_another_folder_of_the_same_name_do_not_count(shelf, cells, folders, tmp_path):
    here, there = folders
    one, other = (birds(cells, tmp_path, root) for root in folders)
    shelf.add(one, 0, ~RIGHT, data=folders[here], origin="recorded", tags={"dataset_root": str(here)})
    shelf.add(other, 0, RIGHT, data=folders[there], origin="recorded", tags={"dataset_root": str(there)})
    shelf.add(other, 1, RIGHT, data=folders[there], origin="recorded", tags={"dataset_root": str(there)})
    first, second = shelf.desk([one, other]).cells
    assert (first.accuracies, first.seeds, first.left_out) == ([0.0], (0,), 2)
    assert (second.accuracies, second.seeds, second.left_out) == ([1.0, 1.0], (0, 1), 1)


def test_the_clips_at_hand_count_before_newer_ones(shelf, cells, folders, tmp_path):
    here = next(iter(folders))
    one = birds(cells, tmp_path, here)
    shelf.add(one, 0, ~RIGHT, data=folders[here], origin="recorded", tags={"dataset_root": str(here)})
    shelf.add(one, 0, RIGHT, data="with more clips", origin="recorded", tags={"dataset_root": str(here)})
    (cell,) = shelf.desk([one]).cells
    assert (cell.accuracies, cell.left_out) == ([0.0], 1)


def test_a_folder_that_moved_keeps_its_runs(shelf, cells, folders, tmp_path):
    here, there = folders
    one = birds(cells, tmp_path, here)
    shelf.add(one, 0, RIGHT, data=folders[here], origin="recorded", tags={"dataset_root": "/once/birds"})
    shelf.add(one, 1, ~RIGHT, data=folders[there], origin="recorded", tags={"dataset_root": "/once/birds"})
    (cell,) = shelf.desk([one]).cells
    assert (cell.accuracies, cell.seeds) == ([1.0], (0,))


def test_all_cells_show_the_network_that_most_of_them_have(shelf, pair):
    inception = ("inception_v3", "imagenet inception_v3.tf_in1k 99887766")
    for seed in (0, 1):
        shelf.add(pair[0], seed, RIGHT)
    shelf.add(pair[1], 0, RIGHT)
    shelf.add(pair[1], 0, RIGHT, network=inception)
    plain, normal = shelf.desk(pair).cells
    assert {run.tags["backbone"] for run in (*plain.runs, *normal.runs)} == {NETWORK[0]}
    assert normal.left_out == 1
    shelf.add(pair[0], 0, RIGHT, network=inception)
    shelf.add(pair[0], 1, RIGHT, network=inception)
    plain, normal = shelf.desk(pair).cells
    assert {run.tags["backbone"] for run in (*plain.runs, *normal.runs)} == {"inception_v3"}, "as common, and newer"


def test_runs_of_one_cell_have_the_same_weights(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized", "backbone=efficientnet_lite0")
    shelf.add(one, 0, RIGHT, network=(NETWORK[0], "imagenet efficientnet_lite0 00000000"))
    shelf.add(one, 1, RIGHT)
    cell = shelf.desk([one]).cells[0]
    assert cell.seeds == (1,)
    assert cell.left_out == 1


def test_runs_that_are_no_results_are_passed_over(shelf, pair):
    with shelf.store.run("audit", {"dataset": "composer", "kind": "audit"}):
        pass
    assert shelf.desk(pair).cells[0].runs == ()


def test_seeds_tested_on_different_clips_are_an_error(shelf, pair):
    shelf.add(pair[0], 0, RIGHT)
    shelf.add(pair[0], 1, RIGHT[:8])
    cell = shelf.desk(pair).cells[0]
    assert cell.tested is None and cell.accuracies == []
    assert (
        "were tested on different clips: 2 only in the first, 0 only in the second, 0 under another label" in cell.error
    )


def test_an_accuracy_that_its_predictions_do_not_give_is_an_error(shelf, pair):
    shelf.add(pair[0], 0, RIGHT, accuracy=0.5)
    error = shelf.desk(pair).cells[0].error
    assert "its accuracy was logged as 0.5000, but its predictions give 1.0000" in error


def test_a_run_without_predictions_is_an_error(shelf, pair):
    run = shelf.add(pair[0], 0, RIGHT)
    folder = Path(shelf.store.uri.removeprefix("sqlite:///")).parent
    (artifact,) = folder.rglob(f"{run}/artifacts/predictions.csv")
    artifact.unlink()
    assert f"run {run}: no artifact 'predictions.csv'" in shelf.desk(pair).cells[0].error
