from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemata.query.filters import parse_filter, to_json
from mnemata.query.grammar import parse_query
from mnemata.query.operators import KEYS

# How busy the machine is must not decide.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PIECES = st.sampled_from(
    [
        "tea",
        "-",
        '"',
        "(",
        ")",
        "OR",
        ":",
        "*",
        " ",
        ",",
        "..",
        ">",
        "2026-05-01",
        "0.5",
        "🎉",
        "metadata.a",
        *KEYS,
    ]
)
typed = st.one_of(st.text(), st.lists(PIECES).map("".join), st.lists(PIECES).map(" ".join))
plain_words = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1)


@patient
@given(typed)
def test_no_text_is_too_odd(text):
    parsed = parse_query(text)

    assert parse_query(text) == parsed
    assert all(phrase in parsed.text for phrase in parsed.words.phrases)


@patient
@given(typed)
def test_every_typed_filter_can_be_shown_as_json(text):
    condition = parse_query(text).filter

    assert to_json(parse_filter(to_json(condition))) == to_json(condition)


@patient
@given(plain_words)
def test_plain_words_pass_unchanged(words):
    text = " ".join(words)

    assert parse_query(text).text == parse_query(text).words.text == text


@patient
@given(plain_words, plain_words)
def test_operators_leave_the_words_in_order(before, after):
    text = f"{' '.join(before)} tag:work {' '.join(after)}"

    assert parse_query(text).text == " ".join([*before, *after])
