"""A result file cut off anywhere, or left by a killed process, is continued without a byte lost or doubled."""

import itertools
import multiprocessing
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from flair_espvr.errors import ConfigurationError
from flair_espvr.io.resumable import ResumableFile

STEPS = [b"one\ntwo\n", b"", "drei zwölf\n".encode(), b"four\n"]
SETTINGS = {"model": "abc", "sizes": (1, 2)}


def write(path: Path, steps: int = len(STEPS), *, finish: bool = True) -> int:
    """Goes on from what is there; returns how many steps were."""
    with ResumableFile(path, SETTINGS) as file:
        done = len(file.notes)
        assert [note["step"] for note in file.notes] == list(range(done))
        for step in range(done, steps):
            file.write(STEPS[step], {"step": step})
        if finish:
            file.finish()
    return done


def test_a_file_has_its_name_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    path.write_bytes(b"an older result")
    assert write(path, finish=False) == 0
    assert path.read_bytes() == b"an older result"
    assert write(path) == len(STEPS)
    assert path.read_bytes() == b"".join(STEPS)
    assert list(tmp_path.iterdir()) == [path]


def test_every_place_to_stop_leads_to_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files cut near any border: whatever a kill, a full disk or a power cut left of them."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    whole = tmp_path / "whole"
    write(whole, finish=False)
    part, journal = (tmp_path / f"whole{suffix}" for suffix in (".part", ".part.journal"))
    part_bytes, journal_bytes = part.read_bytes(), journal.read_bytes()
    ends = list(itertools.accumulate(map(len, STEPS)))
    line_ends = list(itertools.accumulate(map(len, journal_bytes.splitlines(keepends=True))))
    for part_length, journal_length in itertools.product(around(ends), around(line_ends)):
        part.write_bytes(part_bytes[:part_length])
        journal.write_bytes(journal_bytes[:journal_length])
        known = [end for end, line_end in zip(ends, line_ends[1:], strict=True) if line_end <= journal_length]
        assert write(whole, finish=False) == sum(end <= part_length for end in known)
        assert part.read_bytes() == part_bytes
        assert journal.read_bytes() == journal_bytes


def around(borders: list[int]) -> list[int]:
    near = {border + shift for border in [0, *borders] for shift in (-2, -1, 0, 1, 2)}
    return sorted(length for length in near if 0 <= length <= borders[-1])


@pytest.mark.parametrize("suffix", [".part", ".part.journal"])
def test_what_was_damaged_is_written_anew(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bit of both files flipped in turn, as a disk does that writes what it was not given."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "result"
    write(path, finish=False)
    part, journal, damaged = (tmp_path / f"result{end}" for end in (".part", ".part.journal", suffix))
    whole = {file: file.read_bytes() for file in (part, journal)}
    for place in range(whole[journal].index(b"\n") if damaged == journal else 0, len(whole[damaged])):
        for file, content in whole.items():
            file.write_bytes(content)
        content = bytearray(whole[damaged])
        content[place] ^= 1 << place % 8
        damaged.write_bytes(content)
        assert write(path, finish=False) < len(STEPS) or damaged == journal
        assert part.read_bytes() == whole[part]


def test_a_part_of_an_earlier_release_is_continued(tmp_path: Path) -> None:
    """Its journal knows lengths alone."""
    (tmp_path / "result.part").write_bytes(STEPS[0] + b"half")
    (tmp_path / "result.part.journal").write_text(
        '{"model": "abc", "sizes": [1, 2]}\n{"bytes": 8, "step": 0}\n{"bytes": 8, "step": 1}\n'
    )
    assert write(tmp_path / "result", 3, finish=False) == 2
    assert write(tmp_path / "result") == 3
    assert (tmp_path / "result").read_bytes() == b"".join(STEPS)


@pytest.mark.parametrize(("call", "times"), [*(("fsync", n) for n in range(1, 10)), ("replace", 1), ("unlink", 1)])
def test_a_killed_process_is_continued(tmp_path: Path, call: str, times: int) -> None:
    """Killed at its n-th call: nine calls sync settings and steps, one renames, one removes the journal."""
    path = tmp_path / "result"
    child = os.fork()
    if not child:
        try:
            calls = itertools.count(1)
            real = getattr(os, call)

            def kill(*arguments: object) -> None:
                if next(calls) == times:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(*arguments)

            setattr(os, call, kill)
            write(path)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.exists() == (call == "unlink")
    write(path)
    assert path.read_bytes() == b"".join(STEPS)
    assert list(tmp_path.iterdir()) == [path]


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    write(tmp_path / "result", 2, finish=False)
    with pytest.raises(ConfigurationError, match=r"result\.part: was begun with other settings \(model differ\)"):
        ResumableFile(tmp_path / "result", {**SETTINGS, "model": "other"})
    assert write(tmp_path / "result") == 2


def test_a_part_that_was_removed_is_begun_anew_with_any_settings(tmp_path: Path) -> None:
    write(tmp_path / "result", 2, finish=False)
    (tmp_path / "result.part").unlink()
    with ResumableFile(tmp_path / "result", {"model": "other"}) as file:
        assert file.notes == []


def test_one_process_writes(tmp_path: Path) -> None:
    with ResumableFile(tmp_path / "result", SETTINGS), pytest.raises(ConfigurationError, match="another process"):
        ResumableFile(tmp_path / "result", SETTINGS)
    assert write(tmp_path / "result") == 0


def test_a_second_process_is_kept_out_until_the_file_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the renaming and the removal of the journal there is no part, and a second run would begin one."""
    refused = []

    def rename_and_try(source: Path, target: Path) -> None:
        os.rename(source, target)
        with pytest.raises(ConfigurationError, match="another process"):
            ResumableFile(target, SETTINGS)
        refused.append(target)

    monkeypatch.setattr(os, "replace", rename_and_try)
    assert write(tmp_path / "result") == 0
    assert refused == [tmp_path / "result"]
    assert (tmp_path / "result").read_bytes() == b"".join(STEPS)
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]


def test_processes_that_write_one_file_all_the_time_leave_it_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=write_again_and_again, args=(tmp_path / "result",)) for _ in range(3)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        if (tmp_path / "result").exists():
            assert (tmp_path / "result").read_bytes() == b"".join(STEPS)
    assert [process.exitcode for process in processes] == [0] * 3
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]


def write_again_and_again(path: Path) -> None:
    finished = 0
    while finished < 15:
        with suppress(ConfigurationError):
            write(path)
            finished += 1


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_link_is_followed_and_modes_are_kept(tmp_path: Path, mode: int) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "result", tmp_path / "link"
    target.touch(mode)
    link.symlink_to(target)
    write(link, 2, finish=False)
    assert (tmp_path / "there" / "result.part").stat().st_mode & 0o777 == 0o600
    assert write(link) == 2
    assert link.is_symlink()
    assert target.read_bytes() == b"".join(STEPS)
    assert target.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("suffix", [".part", ".part.journal", ".part.lock"])
def test_a_link_that_somebody_put_in_place_of_our_own_files_is_not_followed(tmp_path: Path, suffix: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / f"result{suffix}").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        write(tmp_path / "result")
    assert victim.read_bytes() == b"mine"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(ConfigurationError, match="no regular file"):
            ResumableFile(path, SETTINGS)


def test_a_full_disk_is_named_and_leaves_what_was_written(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with ResumableFile(tmp_path / "result", SETTINGS) as file:
            file.write(STEPS[0], {"step": 0})
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
            with pytest.raises(OSError, match=r"result\.part'"):
                file.write(b"x" * 400, {"step": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert write(tmp_path / "result") == 1
    assert (tmp_path / "result").read_bytes() == b"".join(STEPS)
