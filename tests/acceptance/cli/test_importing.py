"""Conversations and collections from files."""

import gzip
import json
import re
import signal
import subprocess
import time

import pytest


def turn(number, **metadata):
    return {
        "_id": f"conv-1:D1:{number}",
        "title": "",
        "text": f"This is turn {number} about {'boats' if number % 2 else 'trains'}.",
        "metadata": {
            "namespace": "conv-1",
            "speaker": "Ana" if number % 2 else "Ben",
            "session": 1 + number // 40,
            "turn": number,
            "timestamp": "2026-05-08T13:56:00",
            **metadata,
        },
    }


def written(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_folder_with_a_conversation_goes_in_with_one_command(shared_server, tmp_path):
    written(
        tmp_path / "corpus.jsonl",
        [turn(number, blip_caption="a lighthouse" if number == 7 else "") for number in range(120)],
    )
    command = shared_server.command

    report = command.json("import", str(tmp_path), "--batch-size", "50")
    found = command.json("search", "lighthouse", "--user", "conv-1", "--limit", "1")

    assert (report["stored"], report["updated"], report["refused"]) == (120, 0, 0)
    memory = found["hits"][0]["memory"]
    assert memory["external_id"] == "conv-1:D1:7"
    assert memory["content"] == "This is turn 7 about boats. [image: a lighthouse]"
    assert (memory["role"], memory["session_id"], memory["sequence"]) == ("Ana", "conv-1/1", 7)
    assert memory["occurred_at"].startswith("2026-05-08T13:56:00")
    assert memory["metadata"]["speaker"] == "Ana"


def test_same_file_again_adds_nothing_and_a_changed_line_changes_its_memory(shared_server, tmp_path):
    lines = [{"_id": f"doc-{number}", "title": "T", "text": f"text {number}"} for number in range(30)]
    command = shared_server.command
    command("import", str(written(tmp_path / "a.jsonl", lines)))
    lines[3]["text"] = "changed"

    again = command.json("import", str(written(tmp_path / "b.jsonl", lines)))

    assert (again["stored"], again["updated"], again["unchanged"], again["refused"]) == (0, 1, 29, 0)
    listed = command.json("list", "--filter", '{"external_id": {"prefix": "doc-"}}', "--limit", "200")
    assert listed["total"] == 30
    assert {memory["version"] for memory in listed["items"] if memory["external_id"] != "doc-3"} == {1}
    assert [m["content"] for m in listed["items"] if m["external_id"] == "doc-3"] == ["T\nchanged"]


def test_bad_lines_are_refused_by_number_and_the_others_are_stored(shared_server, tmp_path):
    file = tmp_path / "mixed.jsonl"
    file.write_text(
        '{"content": "good one", "kind": "mixed"}\n'
        "not json\n"
        '{"content": "   ", "kind": "mixed"}\n'
        '{"content": "odd", "colour": "red", "kind": "mixed"}\n'
        '{"content": "good two", "kind": "mixed"}\n'
    )
    refused = tmp_path / "refused.jsonl"
    command = shared_server.command

    ran = command("import", str(file), "--errors", str(refused), code=2)

    kept = [json.loads(line) for line in refused.read_text().splitlines()]
    assert sorted(item["line"] for item in kept) == [2, 3, 4]
    assert "colour" in next(item["reason"] for item in kept if item["line"] == 4)
    assert "2 memories stored, 0 updated, 3 refused" in ran.out
    assert command.json("list", "--kind", "mixed")["total"] == 2


def test_a_line_with_an_integer_beyond_64_bits_is_refused_by_its_field(shared_server, tmp_path):
    file = tmp_path / "large.jsonl"
    file.write_text(
        '{"content": "large", "kind": "large", "metadata": {"n": 100000000000000000001}}\n'
        '{"content": "most", "kind": "large", "metadata": {"n": 9223372036854775807}}\n'
    )
    command = shared_server.command

    report = command.json("import", str(file), code=2)

    assert (report["stored"], report["refused"], report["errors"][0]["line"]) == (1, 1, 1)
    assert "metadata.n: is an integer that does not fit in 64 bits" in report["errors"][0]["reason"]
    (kept,) = command.json("list", "--filter", '{"kind": "large"}')["items"]
    assert kept["metadata"] == {"n": 9223372036854775807}


def test_refused_lines_are_told_on_stderr_without_a_file_for_them(shared_server, tmp_path):
    file = written(tmp_path / "x.jsonl", [{"content": ""}, {"content": "kept"}])

    ran = shared_server.command("import", str(file), code=2)

    assert f"{file}:1" in ran.err
    assert "1 memory stored" in ran.out


def test_lines_whose_id_is_null_are_memories_of_their_own(shared_server, tmp_path):
    file = written(
        tmp_path / "null.jsonl", [{"_id": None, "text": f"nameless {number}"} for number in (1, 2)]
    )

    report = shared_server.command.json("import", str(file))

    assert (report["stored"], report["updated"]) == (2, 0)


@pytest.mark.parametrize("gzipped", [False, True])
def test_own_fields_are_read_from_stdin_and_from_gzip(shared_server, tmp_path, gzipped):
    kind = f"own-{gzipped}"
    line = json.dumps({"content": "x", "kind": kind, "tags": ["a"], "importance": 0.9}) + "\n"
    file = tmp_path / "own.jsonl.gz"
    file.write_bytes(gzip.compress(line.encode()))

    shared_server.command("import", str(file) if gzipped else "-", stdin=None if gzipped else line)

    (memory,) = shared_server.command.json("list", "--kind", kind)["items"]
    assert (memory["tags"], memory["importance"]) == (["a"], 0.9)


def test_listed_memories_go_into_another_folder_and_a_second_time_change_nothing(
    shared_server, command, tmp_path
):
    large = f'{{"n": {2**63 - 1}}}'
    shared_server.command("add", "moved", "--kind", "moved", "--user", "ana", "--metadata", large)
    listed = shared_server.command("list", "--kind", "moved", "--json").out
    items = json.loads(listed)["items"]
    file = tmp_path / "moved.json"
    file.write_text(listed)

    first = command.json("import", str(file))
    second = command.json("import", str(file))

    assert (first["stored"], second["stored"], second["updated"], second["unchanged"]) == (1, 0, 0, 1)
    (memory,) = command.json("list")["items"]
    assert (memory["content"], memory["user_id"], memory["external_id"]) == ("moved", "ana", items[0]["id"])
    assert memory["metadata"] == {"n": 2**63 - 1}


def test_fields_come_from_where_they_are_mapped(shared_server, tmp_path):
    file = written(
        tmp_path / "m.jsonl", [{"_id": "mapped", "text": "x", "metadata": {"who": "eve", "room": 4}}]
    )

    shared_server.command(
        "import",
        str(file),
        "--map",
        "user_id=metadata.who",
        "--map",
        "session_id={metadata.who}/{metadata.room}",
    )

    (memory,) = shared_server.command.json("list", "--user", "eve")["items"]
    assert memory["session_id"] == "eve/4"


def test_names_of_a_line_itself_can_be_mapped(shared_server, tmp_path):
    file = written(tmp_path / "n.jsonl", [{"message": "we met", "who": "joe"}])

    shared_server.command("import", str(file), "--map", "content=message", "--map", "user_id=who")

    (memory,) = shared_server.command.json("list", "--user", "joe")["items"]
    assert memory["content"] == "we met"


@pytest.fixture
def heeding_interrupts():
    """A shell that runs the tests in the background lets everything below it ignore Ctrl-C: not what is started here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_interrupted_import_says_what_was_stored_and_that_it_may_be_run_again(shared_server, options):
    command, kind = shared_server.command, f"cut{len(options)}"
    lines = [json.dumps({"content": f"line {number}", "kind": kind}) + "\n" for number in range(500)]
    process = command.start("import", "-", "--batch-size", "100", *options, stdin=subprocess.PIPE)
    process.stdin.writelines(lines)
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while command.json("list", "--kind", kind, "-n", "1")["total"] < 400 and time.monotonic() < deadline:
        time.sleep(0.1)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)

    assert (process.returncode, out) == (130, "")
    told = json.loads(err)["error"] if options else {"code": "interrupted", "detail": err}
    assert told["code"] == "interrupted"
    assert int(re.search(r"Interrupted: (\d+) memories stored", told["detail"])[1]) >= 100
    assert "Running it again is harmless where every line has an external id." in told["detail"]
