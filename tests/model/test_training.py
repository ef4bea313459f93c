"""``fit``: learns, is deterministic, does the same however it is cut, and stops when it must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from ctfast.errors import ArgumentError, DeviceMemoryError, DivergedError, UsageError
from ctfast.model import Augmentation, ModelConfig, Sequential4, TrainConfig, fit
from ctfast.model.config import SCHEDULES
from ctfast.model.network.sequential4 import weights_of
from ctfast.model.training import epoch as engine
from ctfast.model.training.batches import Layout, epoch_order, read_ahead
from ctfast.model.training.schedule import rates
from tests.model.training_build import QUICK, TINY, easy_set, numbers, quick


def train(config: TrainConfig = QUICK, **options: Any) -> Any:
    options.setdefault("validation", range(6))
    return fit(options.pop("dataset", easy_set()), config=config, model_config=TINY, **options)


def test_it_learns() -> None:
    result = train(quick(epochs=12, learning_rate=1e-2, augmentation=Augmentation(flip_vertical=True, shift=0.05)))
    assert result.history[-1]["validation_accuracy"] == 1.0
    assert result.history[-1]["loss"] < 0.3
    losses = [row["validation_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    p = result.trained.predict_proba(easy_set(9, seed=5).images)
    np.testing.assert_array_equal(p.argmax(axis=1), np.arange(9) % 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_bits() -> None:
    config = quick(augmentation=Augmentation.mild())
    one, two, other = train(config), train(config), train(replace(config, seed=1))
    assert numbers(one.history) == numbers(two.history)
    assert one.trained.hash == two.trained.hash
    assert one.history[0]["loss"] != other.history[0]["loss"]


def reference(config: TrainConfig, dataset: Any, class_weights: np.ndarray) -> Any:
    """The plain form: nnx, optax' own AdamW, clipping and schedule, one batch after the other."""
    model = Sequential4(TINY, rngs=nnx.Rngs(config.seed), path="xla")
    steps = config.epochs * 4
    decays = lambda params: jax.tree.map(lambda a: a.ndim > 1, params)  # noqa: E731
    schedule = jnp.asarray(rates(config, steps))
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(lambda count: schedule[count], weight_decay=config.weight_decay, mask=decays),
    )
    graph, state = nnx.split(model)
    params = nnx.to_pure_dict(state)
    slots = optimizer.init(params)

    def loss_of(params: Any, x: Any, y: Any) -> Any:
        nnx.replace_by_pure_dict(state, params)
        log_p = jax.nn.log_softmax(nnx.merge(graph, state)(x))
        targets = jax.nn.one_hot(y, 2) * (1 - config.label_smoothing) + config.label_smoothing / 2
        return jnp.mean(-(targets * log_p).sum(axis=1) * jnp.asarray(class_weights)[y])

    @jax.jit
    def step(params: Any, slots: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(params, x, y)
        updates, slots = optimizer.update(gradients, slots, params)
        return optax.apply_updates(params, updates), slots, loss

    losses = []
    for epoch in range(1, config.epochs + 1):
        order, total = epoch_order(np.arange(27), config.seed, epoch), 0.0
        for k in range(0, 27, 8):
            chosen = order[k : k + 8]
            x = jnp.asarray(dataset.images[chosen], jnp.float32) / 65535
            params, slots, loss = step(params, slots, x, dataset.labels[chosen])
            total += float(loss) * len(chosen)
        losses.append(total / 27)
    return losses, params


def test_a_step_is_optaxs() -> None:
    config = quick(
        epochs=2, clip=0.05, weight_decay=0.1, label_smoothing=0.1, class_weights=(0.5, 2.0), schedule="linear"
    )
    result = train(config, validation=None)
    losses, params = reference(config, easy_set(), np.array([0.5, 2.0], np.float32))
    np.testing.assert_allclose([row["loss"] for row in result.history], losses, rtol=1e-5)
    # Adam divides by the root of the squared gradient: where that is near 0, rounding is magnified.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), weights_of(result.model), params)


@pytest.mark.parametrize("change", [{"accumulate": 3}, {"steps_per_dispatch": 3}])
def test_a_batch_cut_otherwise_gives_the_same_training(change: dict) -> None:
    config = quick(epochs=2, augmentation=Augmentation.mild(), clip=0.5)
    whole, cut = train(config), train(replace(config, **change))
    for one, two in zip(numbers(whole.history), numbers(cut.history)):
        assert one == pytest.approx(two, rel=1e-5)


def test_too_little_memory_cuts_the_batch_and_says_so() -> None:
    from ctfast.model.training.step import compiled_step

    seen: list[str] = []
    free = train(quick(epochs=2), progress=lambda p: seen.append(p.note or ""))
    assert free.notes == ()
    assert not any(seen)
    whole = engine.step_bytes(_program(8, compiled_step))
    limited = train(quick(epochs=2, memory_limit=whole - 1), progress=lambda p: seen.append(p.note or ""))
    assert "computed in 2 parts of 4" in limited.notes[0]
    assert sum("2 parts of 4" in note for note in seen) == 1
    for one, two in zip(numbers(free.history), numbers(limited.history)):
        assert one == pytest.approx(two, rel=1e-5)
    with pytest.raises(DeviceMemoryError, match="smaller image size"):
        train(quick(memory_limit=1000))


def _program(images: int, compiled_step: Any) -> Any:
    from ctfast.model.devices import choose_devices
    from ctfast.model.training.batches import placed
    from ctfast.model.training.inputs import prepare

    config, devices, dataset = quick(epochs=2), choose_devices("cpu"), easy_set()
    data = prepare(dataset, range(6), config, TINY, None)
    batch = placed(dataset, [np.arange(8)], Layout(1, images), devices)
    return compiled_step(engine.recipe_of(data, config, devices), devices, 1, engine.shapes_of(batch))


def test_a_step_that_fails_for_memory_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failed = engine.compiled_step, []

    def compiled(*arguments: Any) -> Any:
        program = real(*arguments)
        if arguments[3].labels.shape[1] > 1:
            return program

        def fail(*inputs: Any) -> Any:
            failed.append(program(*inputs))  # takes the state, as a real failure may
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

        return type("Failing", (), {"__call__": staticmethod(fail), "memory_analysis": lambda self: None})()

    wanted = train(quick(epochs=2))
    monkeypatch.setattr(engine, "compiled_step", compiled)
    result = train(quick(epochs=2))
    assert len(failed) == 1
    assert "2 parts of 4" in result.notes[0]
    for one, two in zip(numbers(wanted.history), numbers(result.history)):
        assert one == pytest.approx(two, rel=1e-5)


def test_early_stopping_keeps_the_best() -> None:
    held_out = easy_set().take(range(6))
    wrong = replace(held_out, labels=np.array([1, 1, 1, 0, 0, 1], np.int32))  # half are: confidence is punished
    config = quick(epochs=30, learning_rate=0.02, patience=3, schedule="constant", clip=0)
    result = train(config, validation=wrong)
    losses = [row["validation_loss"] for row in result.history]
    assert len(losses) == result.best_epoch + 3 < 30
    assert min(losses) == losses[result.best_epoch - 1]
    assert f"after epoch {result.best_epoch}" in result.stopped
    p = result.trained.predict_proba(easy_set().images[:6])
    found = -np.log(p[np.arange(6), wrong.labels]).mean()
    assert found == pytest.approx(min(losses), rel=1e-4)


def test_epochs_that_do_not_choose() -> None:
    held_out = easy_set().take(range(6))
    wrong = replace(held_out, labels=1 - held_out.labels)  # the better it learns, the higher the loss
    config = quick(epochs=6, learning_rate=0.02, patience=2, start_from_epoch=2, schedule="constant", clip=0)
    result = train(config, validation=wrong)
    losses = [row["validation_loss"] for row in result.history]
    assert min(losses) < min(losses[2:]), "an epoch that does not choose is better"
    assert result.best_epoch == 3 + int(np.argmin(losses[2:]))
    assert len(losses) == result.best_epoch + 2, "patience counts from there"
    assert train(replace(config, start_from_epoch=9), validation=wrong).best_epoch == 6, "no epoch chooses: the last"


def test_a_loss_that_is_not_a_number(tmp_path: Path) -> None:
    config = quick(learning_rate=1e20, clip=0, warmup=0, schedule="constant")
    with pytest.raises(DivergedError, match=r"epoch 1, step \d, at .*image \d+.*no checkpoint.*lower learning rate"):
        train(config, run_dir=tmp_path / "run")


def test_what_was_good_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctfast.model import load_run

    monkeypatch.setattr(engine, "rates", lambda config, steps: np.where(np.arange(steps) < 6, 1e-3, 1e20).astype("f4"))
    with pytest.raises(DivergedError, match=r"epoch 3, step [12], .*checkpoint of epoch 2 is kept in .*run"):
        train(quick(clip=0), run_dir=tmp_path / "run")
    assert np.isfinite(load_run(tmp_path / "run", "last").predict_proba(easy_set().images[:2])).all()


def test_without_validation_all_slices_are_trained_on_and_the_last_epoch_counts() -> None:
    result = train(validation=None)
    assert result.best_epoch == 4
    assert result.history[-1]["step"] == 4 * 4
    assert "validation_loss" not in result.history[0]


def test_balanced_weights_and_bfloat16() -> None:
    data = easy_set()
    few = data.take([*range(0, 26, 2), 1, 3])
    result = train(quick(class_weights="balanced", precision="bfloat16"), dataset=few, validation=data.take(range(6)))
    plain = train(quick(class_weights=(15 / 26, 15 / 4)), dataset=few, validation=data.take(range(6)))
    assert result.history[0]["loss"] == pytest.approx(plain.history[0]["loss"], rel=0.02)
    assert result.history[0]["loss"] != plain.history[0]["loss"]
    assert weights_of(result.model)["dense"]["kernel"].dtype == jnp.float32


def test_start_from_other_weights() -> None:
    first = train(quick(epochs=8, learning_rate=1e-2))
    second = train(quick(epochs=1, learning_rate=1e-5), initial=first.model)
    assert second.history[0]["loss"] < 0.7 * train(quick(epochs=1, learning_rate=1e-5)).history[0]["loss"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_optaxs(schedule: str) -> None:
    config, steps = TrainConfig(schedule=schedule, warmup=0.1, learning_rate=0.5), 40
    after = {
        "constant": optax.constant_schedule(0.5),
        "cosine": optax.cosine_decay_schedule(0.5, 36),
        "linear": optax.linear_schedule(0.5, 0.0, 36),
        "step": optax.piecewise_constant_schedule(0.5, {16: 0.1, 26: 0.1}),
    }[schedule]
    wanted = optax.join_schedules([optax.linear_schedule(0.1, 0.5, 4), after], [4])
    np.testing.assert_allclose(rates(config, steps), [float(wanted(k)) for k in range(steps)], rtol=1e-5, atol=1e-9)
    assert len(rates(config, 1)) == 1


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"dataset": easy_set().take(range(0, 20, 2)), "validation": None}, UsageError, "class 'bright'"),
        ({"validation": range(27)}, UsageError, "left to train on"),
        ({"validation": [99]}, ArgumentError, "0 to 26"),
        ({"validation": None, "config": quick(patience=2)}, ArgumentError, "validation="),
        ({"config": quick(class_weights=(1.0, 1.0, 1.0))}, ArgumentError, "3 given, 2 classes"),
        ({"model": ModelConfig(image_size=(18, 16), widths=(4,))}, ArgumentError, r"images of \(16, 16\)"),
        ({"resume": True}, ArgumentError, "run_dir"),
        ({"config": quick(devices="gpu:7")}, RuntimeError, "gpu:7.*cpu:0"),
    ],
)
def test_what_can_not_be_trained_is_said_at_once(options: dict, error: type, told: str) -> None:
    dataset, config = options.pop("dataset", easy_set()), options.pop("config", QUICK)
    model = options.pop("model", TINY)
    options.setdefault("validation", range(6))
    with pytest.raises(error, match=told):
        fit(dataset, config=config, model_config=model, **options)


@pytest.mark.parametrize(("name", "value"), [("path", "magic"), ("precision", "float8"), ("schedule", "none")])
def test_a_config_refuses_other_words(name: str, value: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}='{value}': one of "):
        TrainConfig(**{name: value})


def test_slices_without_a_label_are_left_out() -> None:
    data = easy_set()
    unknown = replace(data, labels=np.where(np.arange(27) < 3, -1, data.labels).astype(np.int32))
    result = train(dataset=unknown, validation=None)
    assert "3 slices without a label" in result.notes[0]
    assert result.history[0]["step"] == 3


def test_a_batch_of_everything() -> None:
    result = train(quick(batch_size=64))
    assert "more than the 21 training slices" in result.notes[0]
    assert result.history[-1]["step"] == 4


def test_progress_tells_rate_and_time_left() -> None:
    seen: list[Any] = []
    train(progress=seen.append)
    steps = [p for p in seen if p.row is None]
    assert [(p.epoch, p.step) for p in steps] == [(e, s) for e in range(1, 5) for s in range(1, 4)]
    assert [p.row["epoch"] for p in seen if p.row] == [1, 2, 3, 4]
    assert steps[-1].images_per_second > 0
    assert seen[-1].seconds_left == 0


def test_layouts() -> None:
    assert Layout.of(16, 1, 1) == Layout(1, 16)
    assert Layout.of(16, 3, 1) == Layout(3, 6)
    assert Layout.of(5, 1, 2) == Layout(1, 6)
    assert Layout.of(16, 16, 2) == Layout(8, 2)
    assert Layout.of(1, 1, 1) == Layout(1, 1)


def test_reading_ahead_passes_errors_on_and_ends() -> None:
    def source() -> Any:
        yield 1
        raise ValueError("broken file")

    items = read_ahead(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken file"):
        next(items)
    endless = read_ahead(iter(range(10**9)))
    assert [next(endless) for _ in range(5)] == [0, 1, 2, 3, 4]
    endless.close()
