"""Bodies are read strictly, and what is wrong with them is named."""

from __future__ import annotations

import json

import pytest

from mnemata.api.rest.body import parse, refuse_odd
from mnemata.api.rest.errors import MalformedBody
from mnemata.domain.errors import InvalidField, TooLarge

DEPTH = 32


def nested(levels: int) -> bytes:
    return b'{"metadata":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"content":"x"',
        b'{"content":"x"} y',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":1,}',
        b'"\x01"',
        b"\xef\xbb\xbf{}",
        b"nan",
    ],
    ids=["truncated", "trailing", "quotes", "leading-zero", "comma", "control", "byte-order-mark", "word"],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(raw, max_depth=DEPTH)


def test_bytes_that_are_not_utf_8_are_refused_by_their_position() -> None:
    with pytest.raises(MalformedBody, match="byte 12 is not UTF-8"):
        parse(b'{"content":"\xff"}', max_depth=DEPTH)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_named_by_its_field(number: str) -> None:
    document = parse(f'{{"metadata":{{"scores":[1,{number}]}}}}'.encode(), max_depth=DEPTH)

    assert document.suspect
    with pytest.raises(InvalidField) as caught:
        refuse_odd(document.value)
    assert caught.value.field == "metadata.scores[1]"


@pytest.mark.parametrize(
    "number", [100_000_000_000_000_000_001, 2**64, 2**64 - 1, 2**63, -(2**63) - 1, 10**300 + 1]
)
@pytest.mark.parametrize("place", ["%s", "[0,%s]", '{"a":[[%s]],"b":1e300}'])
@pytest.mark.parametrize(
    "body", ['{"metadata":%s}', '{"items":[5,{},{"metadata":{"c":1}},{"metadata":{"n":%s}}]}']
)
def test_an_integer_in_metadata_is_read_to_its_last_digit(body: str, place: str, number: int) -> None:
    text = body % place % number
    document = parse(text.encode(), max_depth=DEPTH)

    assert not document.suspect
    assert json.dumps(document.value) == json.dumps(json.loads(text))


def test_an_integer_beyond_every_double_is_named_by_its_field() -> None:
    document = parse(b'{"metadata":{"n":' + b"9" * 5_000 + b"}}", max_depth=DEPTH)

    with pytest.raises(InvalidField, match=r"metadata\.n: is not a finite number"):
        refuse_odd(document.value)


def test_large_numbers_with_a_fraction_or_an_exponent_stay_floats() -> None:
    raw = b'{"metadata":[123456789012345678901.5,12345678901234567890e1,1e300]}'

    (read,) = parse(raw, max_depth=DEPTH).value.values()

    assert read == [123456789012345678901.5, 123456789012345678900.0, 1e300]
    assert set(map(type, read)) == {float}


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00x"', '"x\\ud83d"'])
def test_half_a_surrogate_pair_is_named_by_its_field(text: str) -> None:
    document = parse(f'{{"content":{text}}}'.encode(), max_depth=DEPTH)

    with pytest.raises(InvalidField) as caught:
        refuse_odd(document.value)
    assert caught.value.field == "content"


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert parse(b'{"content":"\\ud83d\\ude00"}', max_depth=DEPTH).value == {"content": "\U0001f600"}


def test_nesting_at_the_limit_is_read() -> None:
    assert not parse(nested(DEPTH), max_depth=DEPTH).suspect


@pytest.mark.parametrize("levels", [DEPTH + 1, 900, 5_000, 200_000])
def test_nesting_beyond_the_limit_is_refused(levels: int) -> None:
    with pytest.raises(TooLarge, match="levels of nesting"):
        parse(nested(levels), max_depth=DEPTH)


def test_brackets_within_strings_are_not_nesting() -> None:
    assert parse(b'["' + b"[" * 500 + b'\\""]', max_depth=DEPTH).value == ["[" * 500 + '"']


def test_many_flat_objects_are_not_nesting() -> None:
    assert len(parse(b"[" + b",".join([b"{}"] * 500) + b"]", max_depth=3).value) == 500


def test_of_a_repeated_key_the_last_counts() -> None:
    assert parse(b'{"content":"a","content":"b"}', max_depth=DEPTH).value == {"content": "b"}
