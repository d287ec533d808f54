import pytest

from mnemata.cli.options import filter_of, in_path, json_object, moment
from mnemata.domain.errors import InvalidField


def test_shortcuts_become_one_filter():
    found = filter_of(None, user="ana", kind="episodic", tags=["a", "b"])

    assert found == {"user_id": "ana", "kind": "episodic", "tags": {"all": ["a", "b"]}}


def test_filter_and_shortcuts_must_both_hold():
    assert filter_of('{"sequence": {"gt": 3}}', session="s") == {
        "and": [{"sequence": {"gt": 3}}, {"session_id": "s"}]
    }


def test_nothing_given_is_an_empty_filter():
    assert filter_of(None) == {}


@pytest.mark.parametrize("text", ["{", "[]", "3", ""])
def test_filter_that_is_no_json_object_is_refused_by_its_option(text):
    with pytest.raises(InvalidField, match="--filter"):
        json_object("--filter", text)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-05-01", "2026-05-01T00:00:00+00:00"),
        ("2026-05-01T10:00", "2026-05-01T10:00:00+00:00"),
        ("2026-05-01T10:00:00+02:00", "2026-05-01T08:00:00+00:00"),
        ("yesterday", "yesterday"),
        (None, None),
    ],
)
def test_time_without_a_zone_is_utc_and_what_is_no_time_is_left_to_the_server(given, sent):
    assert moment(given) == sent


def test_id_cannot_leave_its_place_in_a_path():
    assert in_path("../a?b#c") == "..%2Fa%3Fb%23c"
