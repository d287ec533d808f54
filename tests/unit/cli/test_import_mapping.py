import pytest

from mnemata.cli.importing.mapping import PLAIN, PRESETS, preset_for, with_options
from mnemata.domain.errors import InvalidField

TURN = {
    "_id": "conv-26:D1:5",
    "title": "",
    "text": "The stories were so inspiring!",
    "metadata": {
        "namespace": "conv-26",
        "speaker": "Caroline",
        "session": 1,
        "turn": 4,
        "timestamp": "2023-05-08T13:56:00",
        "blip_caption": "a dog by a wall",
    },
}


def test_retrieval_line_becomes_a_memory_with_its_id_title_and_metadata():
    line = {"_id": "4983", "title": "A title", "text": "The text", "metadata": {"year": 2019}}

    memory = PLAIN.memory(line)

    assert memory == {"external_id": "4983", "content": "A title\nThe text", "metadata": {"year": 2019}}


def test_retrieval_line_without_title_has_no_empty_first_line():
    assert PLAIN.memory({"_id": 7, "title": "", "text": "alone"}) == {"external_id": "7", "content": "alone"}


def test_retrieval_line_whose_id_is_null_has_no_external_id():
    assert PLAIN.memory({"_id": None, "text": "alone"}) == {"content": "alone"}


def test_own_line_is_taken_as_it_is():
    line = {"content": "x", "user_id": "ana", "tags": ["a"], "unknown": 1}

    assert PLAIN.memory(line) == line


def test_exported_memory_loses_what_only_the_store_says_and_keeps_its_id_as_external_id():
    line = {"id": "0197", "tenant": "t", "version": 3, "content": "x", "role": None, "external_id": None}

    assert PLAIN.memory(line) == {"content": "x", "external_id": "0197"}


def test_exported_memory_with_an_external_id_keeps_that_one():
    assert PLAIN.memory({"id": "0197", "external_id": "mine", "content": "x"})["external_id"] == "mine"


def test_locomo_preset_gives_user_session_speaker_place_time_and_caption():
    memory = PRESETS["locomo"].memory(TURN)

    assert memory["user_id"] == "conv-26"
    assert memory["session_id"] == "conv-26/1"
    assert memory["role"] == "Caroline"
    assert memory["sequence"] == 4
    assert memory["occurred_at"] == "2023-05-08T13:56:00+00:00"
    assert memory["content"] == "The stories were so inspiring! [image: a dog by a wall]"
    assert memory["metadata"] == TURN["metadata"]


def test_turn_without_caption_keeps_its_text():
    bare = {**TURN, "metadata": {k: v for k, v in TURN["metadata"].items() if k != "blip_caption"}}

    assert PRESETS["locomo"].memory(bare)["content"] == TURN["text"]


def test_field_whose_source_is_missing_is_left_out():
    chosen = with_options(
        PLAIN, ["user_id=metadata.nobody", "session_id={metadata.namespace}/{metadata.nobody}"]
    )

    memory = chosen.memory(TURN)

    assert "user_id" not in memory
    assert "session_id" not in memory


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ("session_id=metadata.session", "session_id", "1"),
        ("sequence=metadata.turn", "sequence", 4),
        ("tags=metadata.speaker", "tags", ["Caroline"]),
        ("source={metadata.namespace}:{metadata.session}", "source", "conv-26:1"),
        ("occurred_at=metadata.speaker", "occurred_at", "Caroline"),
    ],
)
def test_mapped_value_fits_its_field(option, field, value):
    assert with_options(PLAIN, [option]).memory(TURN)[field] == value


def test_names_of_a_line_that_were_mapped_are_not_sent_themselves():
    line = {"message": "we met", "who": {"first": "joe"}, "role": "Joe", "other": 1}
    chosen = with_options(PLAIN, ["content=message", "user_id={who.first}/{role}", "source=role"])

    assert chosen.memory(line) == {
        "content": "we met",
        "user_id": "joe/Joe",
        "role": "Joe",
        "source": "Joe",
        "other": 1,
    }


def test_option_wins_over_preset():
    assert with_options(PRESETS["locomo"], ["role=metadata.namespace"]).memory(TURN)["role"] == "conv-26"


@pytest.mark.parametrize("option", ["user_id", "user_id=", "colour=metadata.x", "=metadata.x"])
def test_option_that_is_not_field_and_source_is_refused_with_the_known_fields(option):
    with pytest.raises(InvalidField, match="user_id"):
        with_options(PLAIN, [option])


@pytest.mark.parametrize(
    ("line", "preset"),
    [
        (TURN, "locomo"),
        ({"_id": "1", "text": "x", "metadata": {"namespace": "n", "speaker": "s", "turn": 0}}, "dialogues"),
        ({"_id": "1", "text": "x", "metadata": {"year": 1}}, "none"),
        ({"_id": "1", "text": "x"}, "none"),
        ({"content": "x", "metadata": TURN["metadata"]}, "none"),
    ],
)
def test_turns_of_conversations_are_recognised(line, preset):
    assert preset_for(line) == preset
