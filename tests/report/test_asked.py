import pytest

from src.config.jobs import is_sweep
from src.errors import UserError
from src.report.definitions import RECIPES
from src.report.overrides import CONF, Typed, _composed, _hydra, wanted


def test_an_experiment_is_the_product_of_its_axes(cells):
    found = cells("table2_network", "dataset=composer,genre")
    assert [one.axes for one in found] == [
        (("dataset", dataset), ("preprocess", condition))
        for dataset in ("composer", "genre")
        for condition in ("unprocessed", "normalized", "augmented")
    ]
    assert all(one.seeds == (0, 1, 2, 3, 4) for one in found)
    assert [one.condition for one in found[:3]] == ["unprocessed", "normalized", "augmented"]


def test_table_2_has_54_cells_of_5_seeds():
    assert sum(len(wanted(name, Typed())) for name in ("table2_network", "table2_baseline")) == 54


def test_every_experiment_is_a_sweep_that_a_report_shows():
    names = {path.stem for path in (CONF / "experiment").glob("*.yaml")}
    assert names == {name for pipeline in RECIPES.values() for name in pipeline.experiments if name}
    with _hydra():
        for name in names:
            axes = _composed(name, ()).hydra.sweeper.params
            assert axes.seed == "0,1,2,3,4" and len(axes) > 1
            assert _composed(name, ()).hydra.mode.name == "MULTIRUN"


def test_a_dataset_that_an_experiment_is_not_about_is_not_in_it(cells):
    assert cells("table3", "dataset=composer") == []
    assert [one.title for one in cells("table3", "dataset=ballroom2,composer,ballroom9")] == ["ballroom2", "ballroom9"]


def test_what_an_experiment_chooses_itself_is_not_overridden(cells):
    (one,) = cells("table2_baseline", "dataset=composer", "preprocess=normalized", "backbone=pixels", "head=mlp")
    assert one.params["backbone._target_"].endswith("Marsyas")
    assert one.params["head._target_"].endswith("RandomForest")
    assert one.common == ()
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized", "backbone=pixels")
    assert one.params["backbone._target_"].endswith("Pixels")
    assert one.common == ("backbone=pixels",)


def test_values_composed_apart_are_those_composed_together(cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=augmented", "dataset.clips_per_class=7")
    with _hydra():
        words = ("dataset=composer", "preprocess=augmented", "dataset.clips_per_class=7")
        whole = _composed("table2_network", words)
    assert one.settings["dataset"]["clips_per_class"] == whole.dataset.clips_per_class == 7
    assert one.settings["dataset"]["root"] == whole.dataset.root
    assert one.settings["preprocess"]["levels_dbfs"] == list(whole.preprocess.levels_dbfs)


def test_settings_of_one_group_are_composed_together():
    found = wanted("", Typed.of(["dataset=timing_timbre", "dataset.label=instrument,metre", "preprocess=normalized"]))
    assert [(one.title, one.label) for one in found] == [("timing_timbre", "instrument"), ("timing_timbre", "metre")]
    both = wanted("", Typed.of(["dataset=composer,timing_timbre", "dataset.start=0,1", "seed=3"]))
    assert [(one.title, one.settings["dataset"]["start"]) for one in both] == [
        ("composer", 0.0),
        ("composer", 1.0),
        ("timing_timbre", 0.0),
        ("timing_timbre", 1.0),
    ]
    assert both[0].seeds == (3,)


def test_the_heads_scaling_is_settled_by_the_backbone(cells):
    (network,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    (control,) = cells("control_random", "dataset=composer", "preprocess=normalized")
    assert network.params["head.standardize"] == "False"
    assert control.params["head.standardize"] == "True"
    assert control.random_weights and not network.random_weights


def test_seeds_of_a_sweep():
    (one,) = wanted("", Typed.of(["dataset=composer", "seed=2,0"]))
    assert one.seeds == (2, 0)
    (one,) = wanted("", Typed.of(["dataset=composer"]))
    assert one.seeds == (0, 1, 2, 3, 4)
    with pytest.raises(UserError, match=r"seed: got a,b; expected whole numbers"):
        wanted("", Typed.of(["dataset=composer", "seed=a,b"]))


def test_a_sweep_over_what_is_no_axis_is_refused():
    with pytest.raises(
        UserError, match=r"spectrogram.reference: got several values, but table3 is a sweep over dataset"
    ):
        wanted("table3", Typed.of(["spectrogram.reference=peak,full_scale"]))


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="speed"):
        wanted("table3", Typed.of(["speed=3"]))


def test_a_word_that_does_not_parse_is_refused():
    with pytest.raises(UserError, match=r"dataset\.root=\(: cannot be read as settings"):
        Typed.of(["dataset.root=("])


def test_sweeps_are_recognised():
    assert is_sweep("seed=0,1") and is_sweep("dataset=genre,composer")
    assert not is_sweep("seed=0") and not is_sweep("-m") and not is_sweep("dataset.include_classes=[a,b]")


def test_the_reports_own_settings_are_not_the_trainers():
    typed = Typed.of(["name=table2", "action=run", "folder=/tmp", "dataset=composer", "seed=0,1", "progress=false"])
    assert typed.fixed == {"dataset": "dataset=composer"}
    assert typed.swept == {"seed": ("0", "1")}
