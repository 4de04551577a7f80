import json
import multiprocessing
import os
import pickle
import random
import signal
import struct
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flair_espvr.errors import RegionStoreError
from flair_espvr.images.store.header import RegionHeader
from flair_espvr.images.store.lmdb_environment import environment_of
from flair_espvr.images.store.region_store import RegionStore, merge_stores

HEADER = RegionHeader(
    model="a", model_arguments={}, fingerprint="f", image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3, grid=(2, 3), dim=40
)
FORK = multiprocessing.get_context("fork")


def key(number: int) -> bytes:
    """Scattered, as hashes are."""
    return random.Random(number).randbytes(16)


def features(number: int, header: RegionHeader = HEADER) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(header.shape).astype(np.float16)


def some(numbers: range, header: RegionHeader = HEADER) -> dict[bytes, np.ndarray]:
    return {key(number): features(number, header) for number in numbers}


def filled(folder: Path, numbers: range, header: RegionHeader = HEADER) -> RegionStore:
    store = RegionStore(folder, header=header, writable=True)
    store.put_many(some(numbers, header))
    return store


def content(store: RegionStore) -> dict[bytes, bytes]:
    keys = list(store.keys())
    return {name: value.tobytes() for name, value in zip(keys, store.get_many(keys)[0], strict=True)}


def in_process(target, *arguments):
    """What `target` returns in a child process."""
    with FORK.Pool(1) as pool:
        return pool.apply(target, arguments)


def test_what_was_put_comes_back(tmp_path):
    store = filled(tmp_path / "new" / "store", range(20))
    wanted = [key(3), key(99), key(0), key(3)]
    values, found = store.get_many(wanted)
    assert found.tolist() == [True, False, True, True]
    for row, number in ((0, 3), (2, 0), (3, 3)):
        assert np.array_equal(values[row], features(number))
    assert not values[1].any()
    assert len(store) == 20
    assert list(store.keys()) == sorted(key(number) for number in range(20))
    assert key(5) in store
    assert key(50) not in store
    assert b"header" not in store
    assert "text" not in store
    assert store.verify() == []
    assert store.info()["pictures"] == 20
    assert RegionHeader.from_dict({k: v for k, v in store.info().items() if k not in ("pictures", "bytes")}) == HEADER


def test_an_empty_store_and_no_keys(tmp_path):
    store = RegionStore(tmp_path, header=HEADER, writable=True)
    assert (len(store), list(store.keys()), store.verify()) == (0, [], [])
    values, found = store.get_many([])
    assert values.shape == (0, 7, 40)
    assert found.shape == (0,)
    store.put_many({})


def test_values_are_written_into_the_given_array(tmp_path):
    store = filled(tmp_path, range(3))
    out = np.ones((2, *HEADER.shape), dtype=np.float16)
    values, _ = store.get_many([key(9), key(1)], out=out)
    assert values is out
    assert not out[0].any()
    assert np.array_equal(out[1], features(1))
    with pytest.raises(ValueError, match="out should be"):
        store.get_many([key(1)], out=out)


def test_a_value_is_the_documented_bytes(tmp_path):
    filled(tmp_path, range(1)).close()
    with lmdb.open(str(tmp_path), readonly=True) as environment, environment.begin() as transaction:
        stored = transaction.get(key(0))
        assert json.loads(transaction.get(b"header")) == HEADER.to_dict()
    numbers = struct.unpack(f"<{7 * 40}e", stored[:-4])
    assert np.array_equal(np.array(numbers).reshape(7, 40), features(0))


def test_what_was_put_first_stays(tmp_path):
    store = filled(tmp_path, range(2))
    store.put_many({key(0): features(7), key(7): features(7)})
    assert np.array_equal(store.get_many([key(0)])[0][0], features(0))
    assert len(store) == 3


@given(sizes=st.lists(st.integers(0, 9), max_size=6), grid=st.tuples(st.integers(1, 4), st.integers(1, 4)))
@settings(max_examples=25, deadline=None)
def test_any_additions_in_any_portions(tmp_path_factory, sizes, grid):
    header = replace(HEADER, grid=grid, dim=3)
    store = RegionStore(tmp_path_factory.mktemp("store"), header=header, writable=True)
    expected, start = {}, 0
    for size in sizes:
        portion = some(range(start, start + size), header)
        start += size
        store.put_many(portion)
        expected |= {name: value.tobytes() for name, value in portion.items()}
        assert content(store) == expected
    assert store.verify() == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((7, 41), dtype=np.float16), "shape"),
        (np.full((7, 40), np.nan), "not finite"),
        (np.full((7, 40), 70_000.0, dtype=np.float32), "beyond the range"),
    ],
)
def test_features_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, value, message):
    store = filled(tmp_path, range(1))
    with pytest.raises(RegionStoreError, match=message):
        store.put_many({key(1): features(1), key(2): value})
    assert len(store) == 1
    with pytest.raises(RegionStoreError, match="16 bytes, not 6"):
        store.put_many({b"header": features(1)})


def test_another_header_is_refused_with_both_values(tmp_path):
    filled(tmp_path, range(1))
    other = replace(HEADER, fingerprint="g", image_size=16)
    for writable in (False, True):
        with pytest.raises(RegionStoreError, match=r"fingerprint is 'f' .* 'g' .*image_size is 8 .* 16 "):
            RegionStore(tmp_path, header=other, writable=writable)


def test_absent_stores(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "none", tmp_path, tmp_path / "file"):
        assert not RegionStore.exists(folder)
        with pytest.raises(RegionStoreError, match="no region store"):
            RegionStore(folder)
    with pytest.raises(RegionStoreError, match="cannot be opened"):
        RegionStore(tmp_path / "file", header=HEADER, writable=True)
    assert not (tmp_path / "none").exists()


def test_reading_handles_do_not_write(tmp_path):
    filled(tmp_path, range(1))
    with pytest.raises(RegionStoreError, match="for reading only"):
        RegionStore(tmp_path).put_many(some(range(1, 2)))


def test_a_store_on_which_its_maker_died_early_is_made_again(tmp_path):
    lmdb.open(str(tmp_path)).close()
    assert not RegionStore.exists(tmp_path)
    with pytest.raises(RegionStoreError, match="is empty"):
        RegionStore(tmp_path)
    assert len(filled(tmp_path, range(2))) == 2
    assert RegionStore.exists(tmp_path)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda value: value[:-1], "bytes, not"),
        (lambda value: b"", "0 bytes, not"),
        (lambda value: value + b"\0", "bytes, not"),
        (lambda value: value[:100] + bytes([value[100] ^ 1]) + value[101:], "checksum"),
    ],
)
def test_damaged_values_are_named_and_never_read(tmp_path, damage, problem):
    filled(tmp_path, range(3)).close()
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(key(1), damage(transaction.get(key(1))))
    store = RegionStore(tmp_path)
    (message,) = store.verify()
    assert key(1).hex() in message
    assert problem in message
    with pytest.raises(RegionStoreError, match=key(1).hex()):
        store.get_many([key(0), key(1)])
    assert store.get_many([key(0), key(2)])[1].all()


@pytest.mark.parametrize(
    "header", [b"", b"{}", b"\xff", b"[1]", json.dumps(HEADER.to_dict() | {"version": 9}).encode()]
)
def test_a_damaged_or_newer_header_is_refused(tmp_path, header):
    filled(tmp_path, range(1)).close()
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"header", header)
    with pytest.raises(RegionStoreError, match=r"header|empty"):
        RegionStore(tmp_path)


def test_a_cut_or_foreign_file_is_an_error_not_a_crash(tmp_path):
    filled(tmp_path, range(300)).close()
    data = tmp_path / "data.mdb"
    whole = data.read_bytes()
    for length in (1, 100, 4096, 8192, len(whole) // 2, len(whole) - 1):
        data.write_bytes(whole[:length])
        with pytest.raises(RegionStoreError):
            RegionStore(tmp_path)
    data.write_bytes(b"no database " * 1000)
    with pytest.raises(RegionStoreError):
        RegionStore(tmp_path)
    data.write_bytes(whole)
    assert RegionStore(tmp_path).verify() == []


def test_the_file_is_always_as_long_as_lmdb_believes(tmp_path):
    """The check for cut files rests on this."""
    with RegionStore(tmp_path, header=HEADER, writable=True) as store:
        for start in range(0, 600, 3):
            store.put_many(some(range(start, start + 3)))
            if start % 30 == 0:
                store.close()
                assert len(RegionStore(tmp_path)) == start + 3


def test_the_map_grows_under_writer_and_readers(tmp_path):
    wide = replace(HEADER, grid=(64, 64), dim=256)  # 2 MB a picture
    store = RegionStore(tmp_path, header=wide, writable=True)
    with FORK.Pool(1) as pool:
        pool.apply(count_pictures, (tmp_path,))
        for start in range(0, 60, 6):
            store.put_many({key(number): np.full(wide.shape, number) for number in range(start, start + 6)})
            assert pool.apply(count_pictures, (tmp_path,)) == start + 6
    assert environment_of(tmp_path).read(lambda _: (True, 0))
    assert (store.get_many([key(59)])[0] == 59).all()


_kept_open: list[RegionStore] = []


def count_pictures(folder: Path) -> int:
    if not _kept_open:
        _kept_open.append(RegionStore(folder))
    return len(_kept_open[0])


def test_reading_a_store_does_not_hold_on_to_its_pages(tmp_path, monkeypatch):
    monkeypatch.setattr("flair_espvr.images.store.lmdb_environment._REMAP_BYTES", 16 << 20)
    wide = replace(HEADER, grid=(64, 64), dim=256)  # 2 MB a picture
    store = RegionStore(tmp_path, header=wide, writable=True)
    for start in range(0, 100, 10):
        store.put_many({key(number): np.full(wide.shape, number) for number in range(start, start + 10)})
    store.close()
    out = np.zeros((1, *wide.shape), dtype=np.float16)
    before, most = resident_megabytes(), 0
    for number in range(100):
        store.get_many([key(number)], out=out)
        most = max(most, resident_megabytes())
    assert most - before < 60


def resident_megabytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def test_handles_of_one_process_share_one_file(tmp_path):
    writer, second, reader = filled(tmp_path, range(2)), filled(tmp_path, range(1, 4)), RegionStore(tmp_path)
    writer.put_many(some(range(4, 6)))
    (tmp_path / "link").symlink_to(tmp_path)
    assert len(writer) == len(second) == len(reader) == len(RegionStore(tmp_path / "link")) == 6
    writer.close()
    assert len(second) == 6


def test_processes_that_have_a_store_open_for_writing_add_in_turns(tmp_path):
    """As two runs of `table` do, or two seeds at once: each adds when it has something, and sees what others added."""
    store = filled(tmp_path, range(1))
    writers = [FORK.Process(target=add_one_by_one, args=(tmp_path, range(start, start + 60))) for start in (20, 50, 80)]
    for writer in writers:
        writer.start()
    for number in range(1, 20):
        store.put_many(some(range(number, number + 1)))
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 3
    assert store.verify() == []
    assert content(store) == content(filled(tmp_path / "one_go", range(140)))


def add_one_by_one(folder: Path, numbers: range) -> None:
    store = filled(folder, numbers[:1])
    for number in numbers[1:]:
        store.put_many(some(range(number, number + 1)))


def test_of_two_processes_that_make_a_store_the_first_says_what_is_in_it(tmp_path, monkeypatch):
    other = replace(HEADER, fingerprint="g")
    write = RegionStore._write

    def write_second(store: RegionStore, values: dict[bytes, bytes]) -> None:
        monkeypatch.setattr(RegionStore, "_write", write)
        in_process(filled_length, tmp_path, other)
        write(store, values)

    monkeypatch.setattr(RegionStore, "_write", write_second)
    with pytest.raises(RegionStoreError, match="fingerprint is 'g'"):
        RegionStore(tmp_path, header=HEADER, writable=True)


def filled_length(folder: Path, header: RegionHeader) -> int:
    return len(filled(folder, range(1), header))


def test_a_writer_s_children_read_and_add(tmp_path):
    store = filled(tmp_path, range(3))
    child = FORK.Process(target=add_inherited, args=(store,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert np.array_equal(store.get_many([key(3)])[0][0], features(3))
    store.put_many(some(range(4, 5)))
    assert len(store) == 5


def add_inherited(store: RegionStore) -> None:
    assert store.get_many([key(number) for number in range(3)])[1].all()
    store.put_many(some(range(3, 4)))
    assert len(store) == 4


def test_who_may_not_write_goes_on_reading(tmp_path, monkeypatch):
    filled(tmp_path, range(2)).close()
    store, real = RegionStore(tmp_path), lmdb.open

    def refuse_writing(*arguments, readonly, **more):
        if not readonly:
            raise lmdb.ReadonlyError("no")
        return real(*arguments, readonly=readonly, **more)

    monkeypatch.setattr(lmdb, "open", refuse_writing)
    with pytest.raises(RegionStoreError, match="cannot be opened"):
        RegionStore(tmp_path, writable=True)
    assert len(store) == 2


def test_a_pickled_handle_reads(tmp_path):
    store = pickle.loads(pickle.dumps(filled(tmp_path, range(2))))
    assert len(store) == 2
    assert not store.writable
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(len, (store,)) == 2


def test_threads_share_a_handle(tmp_path):
    store, wrong = filled(tmp_path, range(50)), []

    def read() -> None:
        for number in range(50):
            if not np.array_equal(store.get_many([key(number)])[0][0], features(number)):
                wrong.append(number)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50, 80):
        store.put_many(some(range(number, number + 1)))
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(store) == 80


PICTURES = 400


def fill_slowly(folder: Path) -> None:
    store = RegionStore(folder, header=HEADER, writable=True)
    for number in range(PICTURES):
        if key(number) not in store:
            store.put_many(some(range(number, number + 1)))


def test_readers_see_only_whole_additions_while_a_writer_adds_and_is_killed_at_any_moment(tmp_path):
    """Ten kills; two processes (this and the writer's successors) read all along; nothing committed may be lost."""
    choose, seen = random.Random(0), 0
    RegionStore(tmp_path / "store", header=HEADER, writable=True).close()
    reader = RegionStore(tmp_path / "store")
    for stop in sorted(choose.sample(range(1, PICTURES - 20), 10)):
        writer = FORK.Process(target=fill_slowly, args=(tmp_path / "store",))
        writer.start()
        while (count := len(reader)) < stop and writer.is_alive():
            keys = [key(number) for number in range(count)]
            assert reader.get_many(keys)[1].all()
        writer.kill()
        writer.join()
        assert len(reader) >= max(seen, stop)
        seen = len(reader)
        assert reader.verify() == []
    fill_slowly(tmp_path / "store")
    assert content(RegionStore(tmp_path / "store")) == content(filled(tmp_path / "one_go", range(PICTURES)))


def test_readers_that_were_killed_keep_nobody_out(tmp_path, monkeypatch):
    """One after the other or at once, beside a process that lives: without one, LMDB makes their table anew."""
    monkeypatch.setattr("flair_espvr.images.store.lmdb_environment._MAX_READERS", 8)
    store = filled(tmp_path, range(3))
    for _ in range(12):
        kill_while_reading(tmp_path, 1)
    kill_while_reading(tmp_path, 8)
    assert len(store) == 3
    assert in_process(count_pictures, tmp_path) == 3


def kill_while_reading(folder: Path, readers: int) -> None:
    reader = FORK.Process(target=read_and_die, args=(folder, readers))
    reader.start()
    reader.join()
    assert reader.exitcode == -signal.SIGKILL


def read_and_die(folder: Path, readers: int) -> None:
    """Reads in as many transactions as many processes would, of which some may be refused, and is killed in them."""
    store = RegionStore(folder)
    reading = store._environment._mapped()
    transactions = []
    with suppress(lmdb.ReadersFullError):
        for _ in range(readers):
            transactions.append(reading.begin())
    assert transactions
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_full_disk_is_an_error_and_the_store_still_opens(tmp_path):
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("cannot mount a small file system here (needs root)")
    try:
        store = RegionStore(tmp_path / "store", header=HEADER, writable=True)
        with pytest.raises(RegionStoreError, match=r"cannot be written .*No space left") as caught:  # noqa: PT012
            for number in range(10_000):
                store.put_many(some(range(number, number + 1)))
        assert str(tmp_path / "store") in str(caught.value)
        written = len(store)
        assert 50 < written < 10_000
        store.close()
        store = RegionStore(tmp_path / "store")
        assert len(store) == written
        assert store.verify() == []
        assert store.get_many([key(number) for number in range(written)])[1].all()
        store.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_store_that_may_not_be_written_is_read_all_the_same(tmp_path):
    folder = tmp_path / "store"
    filled(folder, range(3)).close()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("cannot mount read-only here (needs root)")
    try:
        store = RegionStore(folder)
        assert (len(store), store.verify()) == (3, [])
        store.close()
        with pytest.raises(RegionStoreError, match="Read-only"):
            RegionStore(folder, writable=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_merging_joins_and_refuses_other_features(tmp_path):
    parts = [filled(tmp_path / "a", range(100)), filled(tmp_path / "b", range(60, 150))]
    target = RegionStore(tmp_path / "all", header=HEADER, writable=True)
    assert sum(merge_stores(target, parts)) == 190
    assert content(target) == content(filled(tmp_path / "one", range(150)))
    other = filled(tmp_path / "other", range(1), replace(HEADER, dim=3))
    with pytest.raises(RegionStoreError, match="dim is 3"):
        list(merge_stores(target, [other]))


def test_merging_refuses_a_damaged_value_in_place_of_giving_it_a_new_checksum(tmp_path):
    filled(tmp_path / "part", range(3)).close()
    data = tmp_path / "part" / "data.mdb"
    content = bytearray(data.read_bytes())
    content[content.index(features(1).tobytes()) + 100] ^= 1
    data.write_bytes(content)
    target = RegionStore(tmp_path / "all", header=HEADER, writable=True)
    with pytest.raises(RegionStoreError, match=f"{key(1).hex()} fails its checksum"):
        list(merge_stores(target, [RegionStore(tmp_path / "part")]))
    assert key(1) not in target


def test_an_interrupted_copy_is_refused_wherever_it_ended(tmp_path):
    """As a full disk or Ctrl-C leaves a copy: the beginning of the file."""
    filled(tmp_path / "store", range(30)).close()
    whole = (tmp_path / "store" / "data.mdb").read_bytes()
    choose = random.Random(0)
    for number, length in enumerate([*choose.sample(range(1, len(whole)), 40), len(whole) - 1]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "data.mdb").write_bytes(whole[:length])
        with pytest.raises(RegionStoreError, match=r"cut off|damaged"):
            RegionStore(folder)


def test_every_flipped_bit_of_a_value_is_found_by_whoever_reads_it(tmp_path):
    filled(tmp_path / "store", range(3)).close()
    whole = (tmp_path / "store" / "data.mdb").read_bytes()
    start = whole.index(features(1).tobytes())
    choose = random.Random(0)
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        spoilt = bytearray(whole)
        spoilt[start + choose.randrange(features(1).nbytes + 4)] ^= 1 << choose.randrange(8)
        (folder / "data.mdb").write_bytes(spoilt)
        with RegionStore(folder) as store:
            assert store.get_many([key(0), key(2)])[1].all()
            with pytest.raises(RegionStoreError, match=key(1).hex()):
                store.get_many([key(1)])
