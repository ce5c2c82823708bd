"""Verdicts as files."""

import json
import os
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest

from seq2seq_fast.certificate import Subject, Task, Verdict, cache_folder, kept_verdicts, read
from seq2seq_fast.certificate.verdict import write
from tests.certificate.subjects import SUBJECT, TASKS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQ2SEQ_FAST_CACHE", str(tmp_path))
    return tmp_path


def kept(**wrong):
    found = Verdict(SUBJECT, {task: wrong.get(task.form, "") for task in TASKS})
    SUBJECT.path.parent.mkdir(parents=True, exist_ok=True)
    write(found)
    return found


def test_what_is_kept_is_read_again():
    found = kept(lstm="off by 3")
    assert read(SUBJECT) == found
    assert found.passes(*TASKS[:2]) and not found.passes(*TASKS) and not found.passes(Task("other", "", "", ""))
    assert set(found.failures()) == set(TASKS[2:]) and found.failures(*TASKS[:2]) == {}


@pytest.mark.parametrize("name", [field.name for field in fields(Subject)])
def test_a_verdict_is_of_its_device_and_versions_alone(name):
    kept()
    other = replace(SUBJECT, **{name: "another"})
    assert read(other) is None
    other.path.write_bytes(SUBJECT.path.read_bytes())
    assert read(other) is None


DAMAGES = {
    "empty": b"", "half": None, "no text": b"\xff\xfe\x00", "another kind": b"[1, 2]", "nothing in it": b"{}",
    "deep": b"[" * 100000,
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_none(damage):
    kept()
    whole = SUBJECT.path.read_bytes()
    SUBJECT.path.write_bytes(whole[: len(whole) // 2] if DAMAGES[damage] is None else DAMAGES[damage])
    assert read(SUBJECT) is None and list(kept_verdicts("stand_in")) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(format=2),
        lambda c: c.update(results=[]),
        lambda c: c.update(results={}),
        lambda c: c["results"][0].pop(),
        lambda c: c["results"].append(["attention_decoder", "gru", "float32", "forward", None]),
        lambda c: c["subject"].update(more="x"),
        lambda c: c["subject"].update(device=3),
        lambda c: c.pop("subject"),
    ],
)
def test_a_file_of_another_form_is_none(change):
    kept()
    content = json.loads(SUBJECT.path.read_text())
    change(content)
    SUBJECT.path.write_text(json.dumps(content))
    assert read(SUBJECT) is None


def test_those_of_other_backends_and_versions_are_not_shown():
    found = kept()
    (SUBJECT.path.parent / "other.json").write_text("{")
    assert list(kept_verdicts("stand_in", torch="2.13")) == [found]
    assert list(kept_verdicts("stand_in", torch="2.14")) == list(kept_verdicts("cuda")) == []


def test_a_verdict_is_a_line_that_names_what_failed():
    found = kept(lstm="off by 3")
    assert str(found) == (
        "a device, driver 1.2: 2 of 4 right; attention_decoder lstm float32 forward: off by 3; "
        "attention_decoder lstm float32 backward: off by 3"
    )


def test_reading_takes_less_than_10_milliseconds():
    found = Verdict(SUBJECT, {task._replace(form=f"form {i}"): "" for i in range(20) for task in TASKS})
    kept()
    write(found)
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        assert read(SUBJECT) is not None
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.01


def test_the_folder_is_named_or_that_of_the_user(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SEQ2SEQ_FAST_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "seq2seq_fast"
    for none in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", none)
        monkeypatch.setenv("HOME", os.fspath(tmp_path))
        assert cache_folder() == Path(tmp_path, ".cache", "seq2seq_fast")
