"""Runs that are not done are counted apart by what became of them, named with their errors, and never averaged away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.timings import BACKENDS, job, write_job

from rnnbench.report.results import read
from rnnbench.report.tables.notes import NAMED, broken_notes, circumstances, lost_notes
from rnnbench.report.tables.timing import timing_tables
from rnnbench.report.tables.training import tables
from rnnbench.report.tables.writers import markdown

Write = Callable[..., Path]


def test_each_status_is_counted_apart(tmp_path: Path, text_run: Write) -> None:
    for seed, status in enumerate(["done", "done", "diverged", "oom", "timeout", "timeout", "failed"]):
        text_run(tmp_path / "s", "gru", 64, seed, status)
    (table,) = tables(read([tmp_path]))
    (row,) = table.rows
    assert row.text["seeds"] == "2/7"
    assert [row.raw[status] for status in ("diverged", "failed", "oom", "timeout")] == [1, 1, 1, 2]
    said = markdown(table)
    assert "5 of 7 runs (71 %): 1 diverged, 1 failed, 1 ran out of memory, 2 took too long" in said
    for status, words in (("oom", "ran out of memory"), ("timeout", "took too long"), ("failed", "failed")):
        (run,) = [result for result in read([tmp_path]) if result.status == status][:1]
        assert f"- {run.id} {words}: {run.error}.\n" in said


def test_the_errors_are_listed_once_and_not_without_end(tmp_path: Path, text_run: Write) -> None:
    for seed in range(NAMED + 3):
        text_run(tmp_path / "s", "gru", 64, seed, "oom")
    said = broken_notes(read([tmp_path]))
    assert len(said) == NAMED + 1
    assert said[-1].startswith("And 3 more: `rnnbench runs list")
    text_run(tmp_path / "t", "gru", 64, 0)
    assert lost_notes(read([tmp_path / "t"])) == []


def test_timing_jobs(tmp_path: Path) -> None:
    write_job(tmp_path / "s", job(), BACKENDS)
    write_job(tmp_path / "s", job(seq_len=32), BACKENDS, status="oom")
    write_job(tmp_path / "s", job(seq_len=16), BACKENDS, status="timeout")
    said = " ".join(note for _, note in timing_tables(read([tmp_path]))[0].notes)
    assert "2 of 3 timing jobs ended early: 1 ran out of memory, 1 took too long; what they did not" in said


def test_what_was_special_is_said(tmp_path: Path, text_run: Write) -> None:
    """A run that fitted only in parts, or on two devices, is not as fast as one that did not."""
    for seed in range(3):
        text_run(tmp_path / "s", "gru", 64, seed, environment={"micro_batches": 4} if seed else {"micro_batches": 1})
    text_run(tmp_path / "s", "lstm", 64, 0, environment={"devices": 2})
    assert circumstances(read([tmp_path])) == [
        "In parts, for a whole batch did not fit into memory: gru T=64 in 4 (2 runs).",
        "On several devices, which share a batch: lstm T=64 on 2.",
    ]
    said = markdown(tables(read([tmp_path]))[0])
    assert "- In parts," in said
    assert "- On several devices" in said
