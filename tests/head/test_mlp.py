from dataclasses import replace

import numpy as np
import pytest
import torch
from head_examples import clouds, none_of, same_tensors, short
from safetensors.numpy import load, save

from src.errors import UserError
from src.features.examples import Examples
from src.head import load_head
from src.head.linear import Linear
from src.head.mlp import Mlp
from src.head.sgd import SgdSchedule
from src.head.training import Layers

HEAD = Mlp(hidden=[16, 8], activation="relu", dropout=0.0, learning_rate=0.05, weight_std=0.1, standardize=True)


def fit(head=HEAD, train=None, *, classes=3, seed=0, trainer=None):
    train = train or clouds([30, 5, 60])
    return head.fit(train, none_of(train), classes=classes, seed=seed, trainer=trainer or short(), logger=None)


def exclusive_or(seed=0):
    """Two classes that no straight line parts: opposite corners of a square belong together."""
    rng = np.random.default_rng(seed)
    corners = np.sign(rng.standard_normal((400, 2)))
    points = corners + 0.3 * rng.standard_normal((400, 2))
    return Examples(points.astype(np.float32), (corners.prod(axis=1) > 0).astype(np.int64))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_hidden_layers_learn_what_a_linear_head_cannot(activation):
    train, held_out = exclusive_or(), exclusive_or(seed=1)
    trainer = short(1500, batch_size=50, validate_every=1500)
    head = replace(HEAD, learning_rate=0.1, activation=activation)
    curved = fit(head, train, classes=2, trainer=trainer).predict_proba(held_out.features)
    assert np.mean(curved.argmax(1) == held_out.labels) > 0.97
    straight = fit(Linear(0.1, 0.001, True), train, classes=2, trainer=trainer).predict_proba(held_out.features)
    # a line that cuts off one corner is right on three of four
    assert np.mean(straight.argmax(1) == held_out.labels) < 0.8


def test_numpy_predicts_what_torch_trained():
    fitted = fit(replace(HEAD, activation="tanh"))
    layers = Layers(
        list(zip(fitted.weights, fitted.biases, strict=True)), activation="tanh", dropout=0.0, dropout_seed=0
    )
    features = clouds([4, 4, 4], seed=2).features
    logits = layers(torch.from_numpy(fitted.scaling.apply(features)))
    # float32 sums of 16 terms
    np.testing.assert_allclose(fitted.predict_proba(features), logits.softmax(1).detach().numpy(), atol=1e-6)


def test_without_hidden_layers_it_is_the_linear_head():
    pipeline = SgdSchedule("linear", (), "none", 0.0, 0.01, 0.001, False)
    assert same_tensors(fit(pipeline), fit(Linear(0.01, 0.001, False)))


def test_hidden_layers_start_at_a_scale_that_passes_the_signal_on():
    pipeline = SgdSchedule("mlp", (400, 300), "relu", 0.0, 0.01, 0.001, True)
    start = pipeline.initial_weights((500, 400, 300, 10), np.random.default_rng(0))
    signal = np.random.default_rng(1).standard_normal((200, 500))
    for weight, bias in start[:-1]:
        signal = np.maximum(signal @ weight.T + bias, 0)
        # relu leaves half the power, the factor 2 in the weights' variance brings it back; 400 units: a few percent
        assert np.mean(signal**2) == pytest.approx(1, rel=0.15)
    assert start[-1][0].std() == pytest.approx(0.0008796, rel=0.05)


def test_dropout_is_the_fits_own_and_only_in_training():
    head = replace(HEAD, dropout=0.5)
    first = fit(head)
    torch.manual_seed(7)
    assert same_tensors(first, fit(head))
    assert not same_tensors(first, fit(HEAD))
    features = clouds([2, 2, 2]).features
    assert np.array_equal(first.predict_proba(features), first.predict_proba(features))


def test_dropout_keeps_the_expected_value():
    layers = Layers(
        [(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))] * 2, activation="none", dropout=0.25, dropout_seed=0
    )
    out = layers(torch.ones(20_000, 2))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    # 40000 values of deviation 0.58: 0.003
    assert out.mean().item() == pytest.approx(1, abs=0.012)
    assert torch.equal(layers.eval()(torch.ones(3, 2)), torch.ones(3, 2))


def test_stored_and_loaded_it_gives_the_same_bits():
    fitted = fit(replace(HEAD, activation="tanh"))
    loaded = load_head("mlp", load(save(fitted.tensors())))
    features = clouds([9, 9, 9], seed=4).features
    assert np.array_equal(loaded.predict_proba(features), fitted.predict_proba(features))
    assert (loaded.kind, loaded.activation, len(loaded.weights)) == ("mlp", "tanh", 3)


def test_its_name_shows_its_layers():
    assert HEAD.name == "mlp 16-8"


def test_settings_are_checked():
    with pytest.raises(UserError, match=r"head.hidden=\[\]: expected units per hidden layer"):
        replace(HEAD, hidden=[])
    with pytest.raises(UserError, match=r"head.activation=none: expected relu or tanh"):
        replace(HEAD, activation="none")
    with pytest.raises(UserError, match=r"head.dropout=1.0: expected a share"):
        replace(HEAD, dropout=1.0)
