import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from effnet.errors import EffnetError
from effnet.files import write_bytes, write_text


def disk_full(path: Path) -> None:
    path.write_bytes(b"half of the new con")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(path: Path) -> None:
    path.write_bytes(b"half of the new con")
    raise KeyboardInterrupt


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask: int = request.param
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    write_text(path, "new")
    assert path.read_bytes() == b"new"


def test_a_finished_file_stands_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "text")
    assert os.listdir(tmp_path) == ["file.txt"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file.txt", "text")
    assert (tmp_path / "a" / "b" / "file.txt").read_text(encoding="utf-8") == "text"


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "φ × 2\n")
    assert (tmp_path / "file.txt").read_bytes() == "φ × 2\n".encode()


def test_the_old_content_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old", encoding="utf-8")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new", encoding="utf-8")
        seen.append(path.read_text(encoding="utf-8"))

    write_bytes(path, write)
    assert seen == ["old"]


def test_the_writer_sees_the_suffix_of_the_file(tmp_path: Path) -> None:
    suffixes = []

    def write(temporary: Path) -> None:
        suffixes.append(temporary.suffix)

    write_bytes(tmp_path / "plot.png", write)
    assert suffixes == [".png"]


def test_a_full_disk_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(EffnetError):
        write_bytes(path, disk_full)
    assert os.listdir(tmp_path) == ["file.bin"]
    assert path.read_bytes() == b"old"


def test_a_full_disk_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(EffnetError):
        write_bytes(tmp_path / "file.bin", disk_full)
    assert os.listdir(tmp_path) == []


def test_the_error_names_the_file_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with pytest.raises(EffnetError) as caught:
        write_bytes(path, disk_full)
    assert str(caught.value) == f"cannot write {path}: No space left on device"


def test_an_interrupt_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, interrupted)
    assert os.listdir(tmp_path) == ["file.bin"]
    assert path.read_bytes() == b"old"


def test_a_file_in_the_place_of_the_folder_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    path = tmp_path / "taken" / "file.txt"
    with pytest.raises(EffnetError) as caught:
        write_text(path, "text")
    assert str(caught.value).startswith(f"cannot write {path}: ")


def test_a_folder_in_the_place_of_the_file_is_an_error_that_leaves_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.mkdir()
    with pytest.raises(EffnetError):
        write_text(path, "text")
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "file.txt", "text")
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.usefixtures("umask")
def test_writing_leaves_the_umask_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    write_text(tmp_path / "file.txt", "text")
    assert os.umask(before) == before
