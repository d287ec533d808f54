import gzip
import json
from itertools import accumulate

import pytest

from mnemata.cli.importing import lines
from mnemata.cli.importing.lines import Line, Refused
from mnemata.domain.errors import InvalidField


def read(*files):
    """The items, and how many bytes had been read when each of them came."""
    found = list(lines.read([str(file) for file in files]))
    return [item for item, _ in found], list(accumulate(count for _, count in found))


def test_every_line_comes_with_its_place(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"content": "one"}\n\n  \n{"content": "two"}')

    found, positions = read(file)

    assert [item.value["content"] for item in found] == ["one", "two"]
    assert [item.place.line for item in found] == [1, 4]
    assert positions[-1] == file.stat().st_size


def test_gzipped_lines_are_read_and_measured_in_compressed_bytes(tmp_path):
    plain, packed = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    plain.write_text('{"content": "one"}\n')
    packed.write_bytes(gzip.compress(b'{"content": "two"}\n' * 500))

    found, positions = read(plain, packed)

    assert len(found) == 501
    assert positions[-1] == lines.total_bytes([str(plain), str(packed)])
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{not json", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"content": "\xff"}', "not UTF-8 at byte 13"),
        (b'{"content": NaN}', "NaN is not a JSON number"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_bad_line_is_refused_with_its_reason_and_the_next_is_read(tmp_path, data, reason):
    file = tmp_path / "a.jsonl"
    file.write_bytes(data + b'\n{"content": "good"}\n')

    (bad, good), _ = read(file)

    assert isinstance(bad, Refused)
    assert reason in bad.reason
    assert str(bad.place) == f"{file}:1"
    assert isinstance(good, Line)


def test_line_longer_than_the_limit_is_refused_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"content": "x" * 1_000}) + '\n{"content": "good"}\n')

    (bad, good), _ = read(file)

    assert bad.code == "too_large"
    assert good.value == {"content": "good"}


def test_byte_order_mark_is_not_part_of_the_line(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"content": "x"}\n')

    (found,), _ = read(file)

    assert found.value == {"content": "x"}


def test_folder_stands_for_its_corpus(tmp_path):
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(b"{}"))

    assert lines.files_of([str(tmp_path), "-"]) == [str(tmp_path / "corpus.jsonl.gz"), "-"]


@pytest.mark.parametrize("name", ["", "missing.jsonl"])
def test_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(InvalidField):
        lines.files_of([str(tmp_path / name)])


def test_size_of_stdin_is_not_known():
    assert lines.total_bytes(["-"]) is None


@pytest.mark.parametrize(
    ("content", "read_before", "reason"),
    [
        (b"no gzip at all", 0, "Not a gzipped file"),
        (
            gzip.compress(b'{"content": "one"}\n' * 50_000)[:-12],
            50_000,
            "ended before the end-of-stream marker",
        ),
        (gzip.compress(b'{"content": "one"}\n')[:-8] + b"\0" * 8, 1, "CRC check failed"),
    ],
    # By name: a gzipped file holds the time at which it was made, and every process would call the test differently.
    ids=["no gzip", "cut off", "wrong checksum"],
)
def test_file_that_cannot_be_read_to_its_end_is_refused_there_and_the_next_is_read(
    tmp_path, content, read_before, reason
):
    broken, good = tmp_path / "broken.jsonl.gz", tmp_path / "good.jsonl"
    broken.write_bytes(content)
    good.write_text('{"content": "good"}\n')

    (*whole, bad, last), _ = read(broken, good)

    assert len(whole) <= read_before
    assert isinstance(bad, Refused)
    assert (bad.code, reason in bad.reason) == ("unreadable", True)
    assert bad.place.line == len(whole) + 1
    assert isinstance(last, Line)


PAGE = {
    "items": [{"content": "one"}, {"content": "two", "metadata": {"n": 9_223_372_036_854_775_807}}],
    "total": 2,
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("gzipped", [False, True])
def test_page_of_memories_stands_for_its_items(tmp_path, indent, gzipped):
    file = tmp_path / ("page.json.gz" if gzipped else "page.json")
    data = json.dumps(PAGE, indent=indent).encode()
    file.write_bytes(gzip.compress(data) if gzipped else data)

    found, positions = read(file)

    assert [item.value for item in found] == PAGE["items"]
    assert [str(item.place) for item in found] == [f"{file}:1, item 1", f"{file}:1, item 2"]
    assert positions == [file.stat().st_size] * 2


def test_page_after_page_on_lines_of_their_own_are_read(tmp_path):
    file = tmp_path / "pages.jsonl"
    file.write_text(f"{json.dumps(PAGE)}\n{json.dumps(PAGE)}\n")

    found, _ = read(file)

    assert [(item.place.line, item.place.item) for item in found] == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_item_that_is_no_object_is_refused_by_its_number(tmp_path):
    file = tmp_path / "page.json"
    file.write_text(json.dumps({"items": [3, {"content": "good"}]}, indent=2))

    (bad, good), _ = read(file)

    assert bad.as_json()["item"] == 1
    assert good.value == {"content": "good"}


def test_one_memory_may_stand_on_many_lines(tmp_path):
    file = tmp_path / "memory.json"
    file.write_text("\n" + json.dumps({"content": "one", "items": [1]}, indent=2))

    (found,), _ = read(file)

    assert (found.value, found.place.line) == ({"content": "one", "items": [1]}, 2)


def test_array_on_many_lines_is_refused_once_with_what_to_do(tmp_path):
    file = tmp_path / "array.json"
    file.write_text(json.dumps(PAGE["items"], indent=2))

    (bad,), _ = read(file)

    assert "jq -c '.[]'" in bad.reason


def test_document_above_the_limit_is_refused_once_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_DOCUMENT_BYTES", 50)
    file = tmp_path / "page.json"
    file.write_text(json.dumps(PAGE, indent=2))

    (bad,), _ = read(file)

    assert (bad.code, "jq -c '.items[]'" in bad.reason) == ("too_large", True)


@pytest.mark.parametrize("cut", ['{"content": ', '{"content": "one"', "{", "["])
def test_first_line_that_was_cut_off_is_refused_alone(tmp_path, cut):
    file = tmp_path / "a.jsonl"
    file.write_text(f'\n{cut}\n\n{{"content": "good"}}\n{{"content": "better"}}\n')

    found, positions = read(file)

    assert isinstance(found[0], Refused)
    assert [item.place.line for item in found] == [2, 4, 5]
    assert positions[-1] == file.stat().st_size
