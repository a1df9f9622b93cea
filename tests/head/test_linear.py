import gc
import os
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from head_examples import Recorder, clouds, none_of, same_tensors, short
from safetensors.numpy import load, save
from torch.nn import functional

from src.errors import UserError
from src.features.examples import Examples
from src.head import load_head, resolve_standardize
from src.head.linear import Linear
from src.head.network import Scaling
from src.head.sgd import ClassBalancedSampler, Randomness, truncated_normal
from src.head.training import AutogradStep, LinearStep

HEAD = Linear(learning_rate=0.01, weight_std=0.001, standardize=False)
TRAIN = clouds([30, 5, 60])


def fit(head=HEAD, train=TRAIN, validation=None, *, classes=3, seed=0, trainer=None, logger=None):
    return head.fit(
        train, validation or none_of(train), classes=classes, seed=seed, trainer=trainer or short(), logger=logger
    )


def plain_loop(train, *, steps, batch_size, seed):
    """The protocol written out: weights and bias after the last step."""
    random = Randomness.from_seed(seed)
    start = truncated_normal((3, train.features.shape[1]), std=0.001, rng=random.weights)
    weight = torch.from_numpy(start).requires_grad_()
    bias = torch.zeros(3, requires_grad=True)
    batches = ClassBalancedSampler(train.labels, batch_size=batch_size, rng=random.draws).take(steps)
    features, labels = torch.from_numpy(train.features), torch.from_numpy(train.labels)
    for batch in torch.from_numpy(batches):
        loss = functional.cross_entropy(features[batch] @ weight.T + bias, labels[batch])
        gradients = torch.autograd.grad(loss, [weight, bias])
        with torch.no_grad():
            weight -= 0.01 * gradients[0]
            bias -= 0.01 * gradients[1]
    return weight.detach().numpy(), bias.detach().numpy()


def test_the_fit_is_the_plain_loop():
    fitted = fit(trainer=short(200, batch_size=20, validate_every=30), validation=clouds([3, 3, 3], seed=1))
    weight, bias = plain_loop(TRAIN, steps=200, batch_size=20, seed=0)
    # the same sums in another order (matmul and add for linear): 200 steps of float32 rounding of values below 1
    np.testing.assert_allclose(fitted.weights[0], weight, rtol=0, atol=2e-6)
    np.testing.assert_allclose(fitted.biases[0], bias, rtol=0, atol=2e-6)


def test_lightning_changes_no_bit_of_the_same_operations():
    random = Randomness.from_seed(4)
    layer = torch.nn.Linear(8, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(truncated_normal((3, 8), std=0.001, rng=random.weights)))
        layer.bias.zero_()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    features, labels = torch.from_numpy(TRAIN.features), torch.from_numpy(TRAIN.labels)
    for batch in torch.from_numpy(ClassBalancedSampler(TRAIN.labels, batch_size=10, rng=random.draws).take(40)):
        loss = functional.cross_entropy(layer(features[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fitted = fit(seed=4)
    assert np.array_equal(fitted.weights[0], layer.weight.detach().numpy())
    assert np.array_equal(fitted.biases[0], layer.bias.detach().numpy())


@pytest.mark.parametrize(("features", "classes", "batch"), [(1280, 4, 100), (2048, 10, 100), (124, 50, 32), (5, 2, 1)])
def test_the_step_written_out_changes_no_bit_of_autograd(features, classes, batch):
    rng = np.random.default_rng(features)
    ours, plain = torch.nn.Linear(features, classes), torch.nn.Linear(features, classes)
    plain.load_state_dict(ours.state_dict())
    autograd = AutogradStep(plain, torch.optim.SGD(plain.parameters(), lr=0.03))
    written = LinearStep(ours, 0.03)
    for _ in range(20):
        clips = torch.from_numpy(rng.standard_normal((batch, features), dtype=np.float32))
        labels = torch.from_numpy(rng.integers(0, classes, batch))
        assert torch.equal(written(clips, labels), autograd(clips, labels))
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)


def test_it_learns():
    far = clouds([40, 4, 40], distance=6)
    held_out = clouds([50, 50, 50], distance=6, seed=1)
    probabilities = fit(train=far, trainer=short(300)).predict_proba(held_out.features)
    assert np.mean(probabilities.argmax(1) == held_out.labels) > 0.97
    # float32 sums of three values
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)


def test_a_seed_gives_the_same_bits_whatever_ran_before():
    first = fit(seed=0)
    torch.manual_seed(123)
    np.random.default_rng(3).random(10)
    torch.set_num_threads(2)
    other = fit(seed=1)
    again = fit(seed=0, validation=clouds([2, 2, 2]), trainer=short(validate_every=7), logger=Recorder())
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert same_tensors(first, again)
    assert not same_tensors(first, other)


def test_a_fit_leaves_the_process_as_it_was(capfd, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.random.get_rng_state(), np.random.get_state()[1], signal.getsignal(signal.SIGTERM)  # noqa: NPY002  # must stay untouched
    fit(validation=clouds([2, 2, 2]), logger=Recorder())
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002  # must stay untouched
    assert signal.getsignal(signal.SIGTERM) == before[2]
    assert torch.is_grad_enabled()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_fit_keeps_no_examples_until_garbage_is_collected():
    examples = Examples(TRAIN.features.copy(), TRAIN.labels.copy())
    kept = weakref.ref(examples.features)
    gc.disable()
    try:
        fit(train=examples)
        del examples
        assert kept() is None
    finally:
        gc.enable()


def test_read_only_arrays_are_enough():
    locked = Examples(TRAIN.features.copy(), TRAIN.labels.copy())
    locked.features.flags.writeable = locked.labels.flags.writeable = False
    assert same_tensors(fit(train=locked, validation=locked), fit())


def test_standardising_makes_the_scale_of_a_feature_irrelevant():
    head = replace(HEAD, standardize=True)
    # a power of two and an offset that float32 holds exactly enough
    stretched = Examples(TRAIN.features * np.float32(1024), TRAIN.labels)
    plain, scaled = fit(head), fit(head, stretched)
    assert np.array_equal(plain.predict_proba(TRAIN.features), scaled.predict_proba(stretched.features))
    np.testing.assert_allclose(plain.scaling.mean, TRAIN.features.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain.scaling.deviation, TRAIN.features.std(0), rtol=1e-5)
    assert not np.array_equal(fit().predict_proba(TRAIN.features), plain.predict_proba(TRAIN.features))


def test_a_constant_feature_is_centred_and_no_more():
    features = TRAIN.features.copy()
    # no binary fraction: a mean and deviation taken in float32 would carry rounding
    features[:, 3] = 0.1
    fitted = fit(replace(HEAD, standardize=True), Examples(features, TRAIN.labels))
    assert fitted.scaling.deviation[3] == 1
    assert np.all(fitted.scaling.apply(features)[:, 3] == 0)
    assert np.isfinite(fitted.predict_proba(features)).all()


def test_many_clips_leave_no_rounding_in_the_deviation():
    scaling = Scaling.of(np.full((10_001, 1), 0.1, np.float32), standardize=True)
    assert (scaling.mean[0], scaling.deviation[0]) == (np.float32(0.1), 1)


def test_standardize_left_to_the_backbone_is_resolved_before_the_fit():
    undecided = replace(HEAD, standardize=None)
    with pytest.raises(ValueError, match="resolve_standardize"):
        fit(undecided)
    assert resolve_standardize(undecided, True).standardize is True
    assert resolve_standardize(HEAD, True) is HEAD


def test_classes_without_training_clips_keep_an_output_that_fades():
    probabilities = fit(classes=5, trainer=short(400)).predict_proba(TRAIN.features)
    assert probabilities.shape == (95, 5)
    assert probabilities[:, 3:].max() < probabilities[:, :3].max(axis=1).min()


def test_stored_and_loaded_it_gives_the_same_bits():
    fitted = fit(replace(HEAD, standardize=True))
    loaded = load_head("linear", load(save(fitted.tensors())))
    assert np.array_equal(loaded.predict_proba(TRAIN.features), fitted.predict_proba(TRAIN.features))
    assert loaded.kind == "linear"
    assert same_tensors(loaded, fitted)


def test_loading_says_what_is_missing():
    tensors = fit().tensors()
    del tensors["bias.0"]
    with pytest.raises(UserError, match=r"not a stored linear head: it has no array 'bias.0'"):
        load_head("linear", tensors)
    with pytest.raises(
        UserError, match="unknown head 'lineal'; expected one of: linear, mlp, logistic, random_forest, one_vs_one"
    ):
        load_head("lineal", tensors)


def test_the_curve_is_logged_at_optimiser_steps_and_after_the_last():
    recorder = Recorder()
    validation = clouds([20, 20, 20], seed=1)
    fitted = fit(validation=validation, trainer=short(25, validate_every=10), logger=recorder)
    assert [step for step, _ in recorder.points] == [10, 20, 25]
    last = recorder.points[-1][1]
    probabilities = fitted.predict_proba(validation.features)
    right = probabilities[np.arange(60), validation.labels]
    assert last["validation/accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == validation.labels))
    # float32 logits
    assert last["validation/loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)
    losses = [metrics["train/loss"] for _, metrics in recorder.points]
    assert losses == sorted(losses, reverse=True)
    # weights near 0 start at the loss of a guess
    assert losses[0] == pytest.approx(np.log(3), rel=0.1)


def test_the_run_is_not_ended_with_the_fit():
    class Run(Recorder):
        def finalize(self, status):
            raise AssertionError("the caller still has test metrics to log")

    run = Run()
    fit(logger=run)
    assert len(run.points) == 4


def test_the_train_loss_is_the_mean_since_the_last_point():
    each, both = Recorder(), Recorder()
    fit(trainer=short(2, validate_every=1), logger=each)
    fit(trainer=short(2, validate_every=2), logger=both)
    single = [metrics["train/loss"] for _, metrics in each.points]
    # float32 sum
    assert both.points == [(2, {"train/loss": pytest.approx(np.mean(single), rel=1e-6)})]


def test_too_large_features_say_the_way_out():
    huge = Examples(TRAIN.features * np.float32(1e30), TRAIN.labels)
    with pytest.raises(UserError, match=r"no longer finite by step \d+.*Set head.standardize=true"):
        fit(train=huge)
    # only the last update overflows, after the last finite loss
    with pytest.raises(UserError, match=r"no longer finite by step 1\."):
        fit(replace(HEAD, learning_rate=3e38, weight_std=0.0), huge, trainer=short(1))


def test_unusable_clips_are_refused():
    with pytest.raises(UserError, match="no training clips"):
        fit(train=none_of(TRAIN))
    broken = Examples(TRAIN.features.copy(), TRAIN.labels)
    broken.features[4, 2] = np.inf
    with pytest.raises(UserError, match="1 of 95 training clips have features that are not finite"):
        fit(train=broken)
    with pytest.raises(ValueError, match="training labels run to 2, but there are 2 classes"):
        fit(classes=2)
    with pytest.raises(ValueError, match="8 training features, but 5 validation"):
        fit(validation=clouds([2, 2, 2], features=5))


def test_settings_are_checked():
    with pytest.raises(UserError, match=r"head.learning_rate=0.0: expected a number above 0"):
        replace(HEAD, learning_rate=0.0)
    with pytest.raises(UserError, match=r"head.weight_std=-1.0"):
        replace(HEAD, weight_std=-1.0)
    with pytest.raises(UserError, match=r"trainer.max_steps=0: expected a whole number of at least 1"):
        short(0)
    with pytest.raises(UserError, match=r"trainer.accelerator=tpu: expected auto, cpu or gpu"):
        replace(short(), accelerator="tpu")


def test_a_gpu_that_is_not_there_is_missed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="finds no CUDA device"):
        fit(trainer=replace(short(), accelerator="gpu"))
    assert same_tensors(fit(trainer=replace(short(), accelerator="auto")), fit())


class Interrupter:
    """Sends the process a signal at the first point of the curve, as a person would in mid-fit."""

    def __init__(self, number):
        self.number = number

    def log_metrics(self, metrics, step=None):
        os.kill(os.getpid(), self.number)


def test_ctrl_c_leaves_the_fit_as_ctrl_c_and_can_be_pressed_again():
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit(logger=Interrupter(signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_does_not_wait_for_the_end_of_the_block(monkeypatch, number, error):
    steps = []

    def interrupted_step(self, *args):
        steps.append(args)
        if len(steps) == 3:
            os.kill(os.getpid(), number)
        return torch.zeros(())

    monkeypatch.setattr(LinearStep, "__call__", interrupted_step)
    with pytest.raises(error):
        fit()
    assert len(steps) == 3


def test_sigterm_ends_the_fit_with_the_usual_status():
    with pytest.raises(SystemExit) as caught:
        fit(logger=Interrupter(signal.SIGTERM))
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_sigterm_handler_of_the_caller_is_obeyed():
    def handler(number, frame):
        raise RuntimeError("mine")

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(RuntimeError, match="mine"):
            fit(logger=Interrupter(signal.SIGTERM))
        assert signal.getsignal(signal.SIGTERM) is handler
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        with pytest.raises(SystemExit) as caught:
            fit(logger=Interrupter(signal.SIGTERM))
        assert caught.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_naming_a_head_costs_no_torch_and_no_lightning():
    code = (
        "import sys, src.head.linear, src.head.network;"
        "print([name for name in ('torch', 'pytorch_lightning', 'sklearn') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
