"""What every test has: charts without a screen, and a home folder of its own where it asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_screen() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Splits that tests have made are kept among the tests' files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as POCKET_HOME: runs of the test are written below it."""
    monkeypatch.setenv("POCKET_HOME", str(tmp_path))
    monkeypatch.delenv("POCKET_BATCH", raising=False)
    return tmp_path
