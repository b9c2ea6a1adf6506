"""Garbage collection and log while TensorFlow is loaded and used."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec

import pytest

from dlcli import errors
from dlcli.config.config_schema import Config
from dlcli.errors import UsageError
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import (
    LOG_LEVEL,
    hide_unused_packages,
    load_tensorflow,
    pause_collection,
    quiet_tensorflow,
    without_retracing_warnings,
)


@pytest.fixture
def collection():
    gc.enable()
    yield
    gc.enable()


def test_garbage_collection_is_paused_while_loading_and_enabled_after(collection):
    with pause_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_collection_is_enabled_after_a_failure(collection):
    with pytest.raises(ImportError), pause_collection():
        raise ImportError
    assert gc.isenabled()


def test_garbage_collection_is_enabled_afterwards_also_if_it_was_off(collection):
    gc.disable()  # as the program does for its start
    with pause_collection():
        pass
    assert gc.isenabled()


@pytest.fixture
def pandas_to_import(tmp_path, monkeypatch):
    """A package of this name that can be imported, and is not loaded."""
    (tmp_path / "pandas.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", [PathFinder])  # without that which hides the real one
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    yield
    sys.modules.pop("pandas", None)


@pytest.mark.usefixtures("pandas_to_import", "handles_signals")
def test_packages_that_keras_only_looks_for_are_hidden_from_it_and_no_longer():
    with pytest.raises(RuntimeError), hide_unused_packages():
        with pytest.raises(ImportError):
            import_module("pandas")
        raise RuntimeError
    assert import_module("pandas").__name__ == "pandas"


@pytest.mark.usefixtures("pandas_to_import", "handles_signals")
def test_a_package_that_is_loaded_stays_loaded():
    loaded = import_module("pandas")
    with hide_unused_packages():
        assert import_module("pandas") is loaded
    assert import_module("pandas") is loaded


@pytest.mark.usefixtures("pandas_to_import")
def test_in_a_program_of_the_users_nothing_is_hidden():
    with hide_unused_packages():
        assert import_module("pandas").__name__ == "pandas"


def test_threads_that_redirect_standard_error_wait_for_each_other(monkeypatch):
    monkeypatch.delenv(LOG_LEVEL, raising=False)
    before = os.fstat(2)

    def redirect():
        with quiet_tensorflow():
            pass

    other = threading.Thread(target=redirect)
    with quiet_tensorflow(), quiet_tensorflow():  # a block within another one is none to wait for
        other.start()
        other.join(0.1)
        assert other.is_alive()
    other.join()
    after = os.fstat(2)

    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


@pytest.mark.slow
def test_objects_of_earlier_trainings_stay_collectable(collection):
    load_tensorflow(Config.model_construct(device="cpu", threads="auto"), Events())
    frozen = gc.get_freeze_count()
    models = [[] for _ in range(1000)]
    load_tensorflow(Config.model_construct(device="cpu", threads="auto"), Events())

    assert gc.get_freeze_count() == frozen and models


def test_retracing_is_not_warned_of_though_a_block_within_has_ended(caplog):
    logger = logging.getLogger("tensorflow")
    with without_retracing_warnings():
        with without_retracing_warnings():
            pass
        logger.warning("5 calls triggered tf.function retracing")
        logger.warning("something else")
    logger.warning("6 calls triggered tf.function retracing")

    assert caplog.messages == ["something else", "6 calls triggered tf.function retracing"]


@pytest.mark.parametrize("package", ["tensorflow", "keras"])
def test_without_tensorflow_the_error_says_how_to_install_it(monkeypatch, package):
    """An image for predictions has none."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(
        errors, "find_spec", lambda name: None if name == package else find_spec(name)
    )
    with pytest.raises(UsageError) as caught:
        load_tensorflow(Config.model_construct(device="cpu", threads=1), Events())
    assert (
        f"training needs the package {package}, which is not installed; install it with: "
        in str(caught.value)
    )
    assert f"pip install '{package}" in str(caught.value)
