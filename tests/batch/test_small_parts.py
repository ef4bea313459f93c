"""Stamps, cells, reasons, choices, the cache folder, limits and progress."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from ctfast.batch import progress
from ctfast.batch.cache_folder import user_cache
from ctfast.batch.cells import safe_cell
from ctfast.batch.choices import check_choice
from ctfast.batch.limits import available_bytes, bytes_per_file
from ctfast.batch.progress import no_progress, progress_bar, steps_of_closing, telling_of
from ctfast.batch.reasons import reason
from ctfast.batch.stamp import stamp_of, unchanged
from ctfast.errors import ArgumentError, FileFormatError, UsageError


def test_a_file_is_unchanged_until_its_size_or_time_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("abc")
    os.utime(path, ns=(0, 1_764_350_000_123_456_789))
    stamp = stamp_of(path)
    assert unchanged(path, *stamp)
    assert unchanged(path, str(stamp.size), f"{stamp.modified:.6f}"), "as tables keep it"
    assert not unchanged(path, stamp.size + 1, stamp.modified)
    os.utime(path, ns=(0, 1_764_350_000_123_466_789))  # 10 microseconds later
    assert not unchanged(path, *stamp)
    assert not unchanged(path, stamp.size, f"{stamp.modified:.6f}")


def test_a_lost_file_and_a_damaged_record_count_as_changed(tmp_path: Path) -> None:
    assert not unchanged(tmp_path / "nowhere", 0, 0.0)
    (tmp_path / "a").write_text("")
    for size, modified in (("", "0"), ("0", ""), ("x", "1"), (0, float("nan"))):
        assert not unchanged(tmp_path / "a", size, modified)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-a", "@x", "\tx", "\rx", "\nx", "'x", "-1 ", "--1"])
def test_formulas_get_an_apostrophe(text: str) -> None:
    assert safe_cell(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=b", "-5", "+1.5e-3", "-inf", "ID_0001.tif", "ä", " =1"])
def test_other_text_stays(text: str) -> None:
    assert safe_cell(text) == text


def test_cells_are_valid_text_and_stay_apart() -> None:
    assert safe_cell("bad\udcff") == "bad\\udcff"
    assert safe_cell("=a") != safe_cell("'=a")


def test_reasons_are_one_line_without_the_name_of_the_file() -> None:
    assert reason(FileFormatError("/a/b.tif: cut off\n after 3 bytes"), "/a/b.tif") == "cut off after 3 bytes"
    assert reason(ZeroDivisionError("by  zero")) == "ZeroDivisionError: by zero"
    assert reason(MemoryError()) == "MemoryError; fewer --workers leave more memory to each file"
    error = ArgumentError("no")
    error.add_note("(step 2)")
    assert reason(error, Path("x")) == "no (step 2)"


def test_choices_are_refused_with_what_is_allowed() -> None:
    check_choice("units", "hu", ("auto", "hu"))
    with pytest.raises(UsageError, match="units='HU': one of auto, hu is allowed"):
        check_choice("units", "HU", ("auto", "hu"))
    with pytest.raises(ArgumentError):
        check_choice("units", None, ("auto",), ArgumentError)


def test_the_cache_folder_is_where_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("a", "b.json") == tmp_path / "ctfast" / "a" / "b.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache() == Path.home() / ".cache" / "ctfast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache() == Path.home() / ".cache" / "ctfast"


def test_memory_limits(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable:    8388608 kB\n")
    assert available_bytes(meminfo, tmp_path) == 8 << 30
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "memory.current").write_text("1073741824\n")
    assert available_bytes(meminfo, tmp_path) == 1 << 30
    assert available_bytes(tmp_path / "none", tmp_path / "none") == 4 << 30
    assert 64 << 20 <= bytes_per_file(64) <= bytes_per_file(1) <= 2 << 30


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with progress_bar(7, console) as show:
        show(done=3, failed=1)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3/7" in text
    assert "1 failed" in text


def test_a_run_that_gets_ready_says_so_and_does_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    out = io.StringIO()
    with progress_bar(7, Console(file=out, width=120), "compiling") as show:
        while "compiling" not in out.getvalue():
            time.sleep(0.001)
        show(done=1, failed=0)
        show(done=3, failed=1)
    first, second, third = out.getvalue().splitlines()
    assert (first, second) == ("compiling", "1/7 files, 0 failed")
    assert third.startswith("3/7 files, ")
    assert third.endswith(" s left")


@pytest.mark.parametrize("terminal", [False, True])
def test_kernels_that_are_compiled_are_told_and_no_time_of_files(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    with progress_bar(9, console) as show:
        tell = telling_of(show)
        for begun in range(1, 8):
            now[0] += 10
            tell(begun=begun, of=7, titles=[f"part {begun}"])
            tell(begun=begun, of=7, titles=[f"part {begun}"])  # another one has ended
        tell(begun=7, of=7, titles=())
        show(done=1, failed=0)
        now[0] += 2
        show(done=5, failed=0)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "compiling kernels, once: 7 of 7 (part 7)" in text
    assert "2.0 files/s" in text
    if not terminal:
        assert text.count("3 of 7") == 1
        assert "2 s left" in text
    telling_of(no_progress)(begun=1, of=1, titles=["nobody hears it"])


@pytest.mark.parametrize("terminal", [False, True])
def test_how_far_what_follows_is(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with progress_bar(2, console) as show:
        show(done=2, failed=0)
        step = steps_of_closing(show, 1000)
        for _ in range(510):
            step()
    assert "manifest and tables: 51%" in console.file.getvalue()  # type: ignore[attr-defined]
    steps_of_closing(no_progress, 0)()


@pytest.mark.parametrize("files", [0, 2])
def test_what_follows_the_last_file_is_told_where_it_takes_long(files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 0.05)
    out = io.StringIO()
    with progress_bar(files, Console(file=out, width=120), closing="tables") as show:
        for done in range(1, files + 1):
            assert "tables" not in out.getvalue()
            show(done=done, failed=0)
        while "tables" not in out.getvalue():
            time.sleep(0.001)
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 60.0)
    with progress_bar(files, Console(file=out, width=120), closing="never") as show:
        for done in range(1, files + 1):
            show(done=done, failed=0)
    assert out.getvalue() == "tables\n"
