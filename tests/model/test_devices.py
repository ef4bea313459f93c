"""Several devices and several processes give the same training; devices that are not there are named."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import jax
import pytest

from ctfast.errors import ArgumentError, BackendUnavailableError
from ctfast.model import Augmentation, fit
from ctfast.model.caching import use_compilation_cache
from ctfast.model.devices import choose_devices, join_processes
from tests.model.training_build import TINY, easy_set, numbers, python, quick

TRAIN = """
import json, sys
from tests.model.training_build import TINY, easy_set, numbers, quick
from ctfast.model import Augmentation, fit, load_run
from ctfast.model.devices import choose_devices, join_processes
import jax

number, processes, address, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if processes > 1:
    join_processes(address, processes, number)
assert len(choose_devices().devices) == 2
config = quick(epochs=3, accumulate=2, augmentation=Augmentation.mild())
result = fit(easy_set(), config=config, model_config=TINY, validation=range(5), run_dir=folder)
assert load_run(folder).hash == result.trained.hash
again = fit(easy_set(), config=config, model_config=TINY, validation=range(5), run_dir=folder, resume=True)
assert again.trained.hash == result.trained.hash
print(json.dumps(numbers(result.history)))
"""


@pytest.fixture(scope="module")
def one_device() -> list[dict[str, float]]:
    config = quick(epochs=3, accumulate=2, augmentation=Augmentation.mild(), devices="cpu:0")
    return numbers(fit(easy_set(), config=config, model_config=TINY, validation=range(5)).history)


def finished(processes: list[subprocess.Popen[str]]) -> list[list[dict[str, float]]]:
    results = []
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
        results.append(json.loads(output.splitlines()[-1]))
    return results


def same(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> bool:
    """Sums over two halves are rounded otherwise than one sum: 1e-5 after three epochs."""
    return all(a == pytest.approx(b, rel=1e-5) for a, b in zip(found, wanted, strict=True))


def cache_of(factory: pytest.TempPathFactory) -> str:
    return str(factory.getbasetemp() / "cache")


def test_two_devices(
    one_device: list[dict[str, float]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    process = python(TRAIN, "0", "1", "", str(tmp_path / "run"), cache=cache_of(tmp_path_factory), XLA_FLAGS=flags)
    [found] = finished([process])
    assert same(found, one_device)


def test_two_processes(
    one_device: list[dict[str, float]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cache = cache_of(tmp_path_factory)
    both = [python(TRAIN, str(k), "2", address, str(tmp_path / "run"), cache=cache) for k in (0, 1)]
    first, second = finished(both)
    assert first == second
    assert same(first, one_device)


@pytest.mark.parametrize("name", ["tpu", "cpu:9", "gpu:1", "abacus"])
def test_devices_that_are_not_there(name: str) -> None:
    with pytest.raises(BackendUnavailableError, match=rf"'{name}'.*cpu:0"):
        choose_devices(name)


@pytest.mark.parametrize("name", ["", "  ", 3])
def test_what_is_no_device(name: object) -> None:
    with pytest.raises(ArgumentError, match=r"gpu:1"):
        choose_devices(name)  # type: ignore[arg-type]


def test_devices_by_name() -> None:
    assert choose_devices("cpu:0").devices == (jax.devices("cpu")[0],)
    assert choose_devices("CPU, cpu:0") == choose_devices("cpu")
    assert choose_devices("cpu").platform == "cpu"
    assert choose_devices("cpu").memory_bytes() > 1 << 20


def test_processes_that_do_not_fit() -> None:
    with pytest.raises(ArgumentError, match="process 2 of 2"):
        join_processes("127.0.0.1:1", 2, 2)


CACHE = """
import jax, sys
jax.jit(lambda x: x + 1)(1.0)  # something has been compiled before
from ctfast.model.caching import use_compilation_cache
print(use_compilation_cache())
print(jax.config.jax_compilation_cache_dir)
import jax.numpy as jnp
jax.jit(lambda x: jnp.linalg.qr(x @ x.T))(jnp.ones((9, 9)))
"""


@pytest.fixture
def no_cache_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own choice is not a user's."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)


def cached(tmp_path: Path, **environment: str) -> tuple[list[str], int]:
    process = python(CACHE, cache=str(tmp_path / "home"), **environment)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.split(), len(list(tmp_path.rglob("*-cache")))


@pytest.mark.usefixtures("no_cache_chosen")
def test_the_compilation_cache_is_on_by_default(tmp_path: Path) -> None:
    folder = str(tmp_path / "home" / "ctfast" / "jax")
    # By default what compiles in less than a tenth of a second is not kept, and how fast this does is the machine's.
    said, files = cached(tmp_path, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0")
    assert said == [folder, folder]
    assert files > 0


@pytest.mark.usefixtures("no_cache_chosen")
@pytest.mark.parametrize("variable", ["JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"])
def test_a_users_own_cache_setting_stays(tmp_path: Path, variable: str) -> None:
    own = str(tmp_path / "own") if variable.endswith("DIR") else "false"
    said, _ = cached(tmp_path, **{variable: own})
    assert said == ["None", own if variable.endswith("DIR") else "None"]
    assert not (tmp_path / "home" / "ctfast" / "jax").exists()


@pytest.mark.usefixtures("no_cache_chosen")
def test_a_cache_folder_that_can_not_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        assert use_compilation_cache() is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
