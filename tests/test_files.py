"""Files that are written whole, where their names lead and for whom the umask allows."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from seq2seq_fast import files
from seq2seq_fast.files import is_replaced, usual_mode, whole


def write(path, text="new"):
    with whole(path) as partial:
        partial.write_text(text)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_new_file_has_the_mode_of_the_umask_however_it_was_written(tmp_path, umask):
    with whole(tmp_path / "file") as partial:
        partial.touch(0o600)  # as a library does that keeps its files to itself
    assert mode(tmp_path / "file") == usual_mode(tmp_path) == 0o666 & ~umask
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path):
    (tmp_path / "file").touch(0o600)
    write(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o600 and (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed(tmp_path, there):
    (tmp_path / "folder").mkdir()
    if there:
        (tmp_path / "folder/target").write_text("old")
    (tmp_path / "second").symlink_to("folder/target")
    (tmp_path / "first").symlink_to("second")
    write(tmp_path / "first")
    assert (tmp_path / "folder/target").read_text() == "new" and os.listdir(tmp_path / "folder") == ["target"]
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()


def test_a_link_to_itself_is_an_error(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "link")


@pytest.mark.parametrize("link", [True, False])
def test_a_device_stays_one(tmp_path, link):
    path = tmp_path / "null.png"
    if link:
        path.symlink_to(os.devnull)
    elif os.geteuid() == 0:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    else:
        path = os.devnull
    assert not is_replaced(path)
    write(path)
    assert stat.S_ISCHR(os.stat(path).st_mode) and os.listdir(tmp_path) in (["null.png"], [])


def test_a_full_device_is_an_error():
    with pytest.raises(OSError, match="No space left"):
        write("/dev/full")


def test_a_pipe_gets_what_is_written(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()), daemon=True)
    reader.start()
    write(tmp_path / "pipe")
    reader.join(10)
    assert got == ["new"] and (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1", "out"])
def test_what_standard_output_leads_to_already_gets_the_rest_in_order(tmp_path, name):
    script = "from tests.test_files import write; print('first'); write(NAME, 'second'); print('third')"
    with (tmp_path / "out").open("w") as out:
        done = [sys.executable, "-c", script.replace("NAME", repr(name if "/" in name else str(tmp_path / name)))]
        subprocess.run(done, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "first\nsecondthird\n" and os.listdir(tmp_path) == ["out"]


def test_after_an_error_what_was_there_still_is(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyError), whole(tmp_path / "file") as partial:
        partial.write_text("ne")
        raise KeyError
    assert (tmp_path / "file").read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_a_name_as_long_as_names_can_be_is_one(tmp_path):
    path = tmp_path / ("ü" * 125 + ".png")
    write(path)
    assert path.read_text() == "new" and len(os.listdir(tmp_path)) == 1


def test_a_link_left_under_the_name_of_the_part_costs_no_other_file(tmp_path):
    (tmp_path / "other").write_text("other")
    files._beside(tmp_path / "file").symlink_to("other")
    write(tmp_path / "file")
    assert (tmp_path / "other").read_text() == "other" and (tmp_path / "file").read_text() == "new"


def test_two_that_write_the_same_file_at_once_both_write_it_whole(tmp_path):
    path, half_way, go_on = tmp_path / "file", threading.Event(), threading.Event()

    def slowly():
        with whole(path) as partial, partial.open("w") as sink:
            sink.write("slow")
            half_way.set()
            go_on.wait(60)
            sink.write("ly")

    thread = threading.Thread(target=slowly)
    thread.start()
    half_way.wait(60)
    write(path)
    assert path.read_text() == "new"
    go_on.set()
    thread.join()
    assert path.read_text() == "slowly" and os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left_goes_with_the_next_that_writes_the_same(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (tmp_path / f"{files._mark()}-{process}-1-file").write_text("part")
    write(tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == sorted([f"{files._mark()}-{os.getppid()}-1-file", "file"])
