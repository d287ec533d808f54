from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from mnemata.domain.filter import EVERYTHING, And, AnyOf, Exists, Field, Not, Or, Prefix, Range
from mnemata.domain.query import Words
from mnemata.query.grammar import MAX_CONSTRAINTS, parse_query
from mnemata.query.operators import KEYS

OCCURRED, CREATED = Field(name="occurred_at"), Field(name="created_at")


def tag(*values: str) -> AnyOf:
    return AnyOf(field=Field(name="tags"), values=values)


def user(*values: str) -> AnyOf:
    return AnyOf(field=Field(name="user_id"), values=values)


def meta(*path: str) -> Field:
    return Field(name="metadata", path=path)


def day(year: int, month: int = 1, number: int = 1) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


def when(**bounds: object) -> Or:
    """What a time operator means: the time of the event, or the time of writing where that is not known."""
    written = And(items=(Not(item=Exists(field=OCCURRED)), Range(field=CREATED, **bounds)))
    return Or(items=(Range(field=OCCURRED, **bounds), written))


def test_words_stay_as_they_were_typed():
    parsed = parse_query("  What is  the Wi-Fi\npassword?  ")

    assert parsed.text == "What is the Wi-Fi password?"
    assert parsed.words == Words(text="What is the Wi-Fi password?")
    assert parsed.filter == EVERYTHING
    assert parsed.unknown == ()


def test_everything_together_is_told_apart():
    parsed = parse_query('trip tag:work before:2026-05-01 "exact words" -draft -"two words" aeropl* to Rome')

    assert parsed.text == "trip exact words aeropl to Rome"
    assert parsed.words == Words(
        text="trip to Rome", phrases=("exact words",), prefixes=("aeropl",), excluded=("draft", "two words")
    )
    assert parsed.filter == And(items=(tag("work"), when(high=day(2026, 5), include_high=False)))


@pytest.mark.parametrize(
    ("typed", "condition"),
    [
        ("tag:work", tag("work")),
        ("TAG:Work", tag("Work")),
        ("tags:work,home", tag("work", "home")),
        ('tag:"work,home"', tag("work,home")),
        ("tag:“à la carte”", tag("à la carte")),
        ("tag:proj*", Prefix(field=Field(name="tags"), text="proj")),
        ("-tag:work", Not(item=tag("work"))),
        ("user:ana", user("ana")),
        ('user:"Ana Maria"', user("Ana Maria")),
        ("agent:a", AnyOf(field=Field(name="agent_id"), values=("a",))),
        ("session:s", AnyOf(field=Field(name="session_id"), values=("s",))),
        ("kind:episodic", AnyOf(field=Field(name="kind"), values=("episodic",))),
        ("role:user", AnyOf(field=Field(name="role"), values=("user",))),
        ("speaker:Mel", AnyOf(field=Field(name="role"), values=("Mel",))),
        ("source:mail", AnyOf(field=Field(name="source"), values=("mail",))),
        ("external:x-1", AnyOf(field=Field(name="external_id"), values=("x-1",))),
        ("has:date", Exists(field=OCCURRED)),
        ("has:tag", Exists(field=Field(name="tags"))),
        ("has:expiry", Exists(field=Field(name="expires_at"))),
        ("has:metadata.url", Exists(field=meta("url"))),
        ("-has:user", Not(item=Exists(field=Field(name="user_id")))),
        ("importance:>0.5", Range(field=Field(name="importance"), low=0.5, include_low=False)),
        ("importance:>=0.5", Range(field=Field(name="importance"), low=0.5)),
        ("importance:<.5", Range(field=Field(name="importance"), high=0.5, include_high=False)),
        ("importance:<=1", Range(field=Field(name="importance"), high=1.0)),
        ("importance:0.5", Range(field=Field(name="importance"), low=0.5, high=0.5)),
        ("importance:=0.5", Range(field=Field(name="importance"), low=0.5, high=0.5)),
        ("importance:0.2..0.8", Range(field=Field(name="importance"), low=0.2, high=0.8)),
        ("before:2026-05-01", when(high=day(2026, 5), include_high=False)),
        ("after:2026-05-01", when(low=day(2026, 5, 2))),
        ("after:2026-05-01T10:00:00Z", when(low=datetime(2026, 5, 1, 10, tzinfo=UTC), include_low=False)),
        ("since:2026-05", when(low=day(2026, 5))),
        ("until:2026-05", when(high=day(2026, 6), include_high=False)),
        ("until:2026-12", when(high=day(2027), include_high=False)),
        ("on:2026", when(low=day(2026), high=day(2027), include_high=False)),
        ("created:>2026-05-01", Range(field=CREATED, low=day(2026, 5, 2))),
        (
            "occurred:2026-05..2026-06-15",
            Range(field=OCCURRED, low=day(2026, 5), high=day(2026, 6, 16), include_high=False),
        ),
        ("metadata.score:3", AnyOf(field=meta("score"), values=("3", 3.0))),
        ("metadata.score:a,3", AnyOf(field=meta("score"), values=("a", "3", 3.0))),
        ("metadata.score:>3", Range(field=meta("score"), low=3.0, include_low=False)),
        ("metadata.score:1..2", Range(field=meta("score"), low=1.0, high=2.0)),
        ("meta.done:true", AnyOf(field=meta("done"), values=("true", True))),
        ("meta.done:False", AnyOf(field=meta("done"), values=("False", False))),
        ("metadata.a.b:x", AnyOf(field=meta("a", "b"), values=("x",))),
        ('metadata.a:"3"', AnyOf(field=meta("a"), values=("3",))),
        ("metadata.a:,", AnyOf(field=meta("a"), values=(",",))),
        ("metadata.a:pre*", Prefix(field=meta("a"), text="pre")),
        ("metadata.due:>2026-05-01", Range(field=meta("due"), low=day(2026, 5, 2))),
        (
            "metadata.due:2026-05-01",
            Or(
                items=(
                    AnyOf(field=meta("due"), values=("2026-05-01",)),
                    Range(field=meta("due"), low=day(2026, 5), high=day(2026, 5, 2), include_high=False),
                )
            ),
        ),
        ("tag:a OR user:b", Or(items=(tag("a"), user("b")))),
        ("tag:a OR tag:b OR tag:c", Or(items=(tag("a"), tag("b"), tag("c")))),
        ("tag:z tag:a OR tag:b", And(items=(tag("z"), Or(items=(tag("a"), tag("b")))))),
        ("(tag:a OR user:b)", Or(items=(tag("a"), user("b")))),
        ("( tag:a user:b ) OR (tag:c)", Or(items=(And(items=(tag("a"), user("b"))), tag("c")))),
        ("-(tag:a user:b)", Not(item=And(items=(tag("a"), user("b"))))),
        ("tag:a tag:b", And(items=(tag("a"), tag("b")))),
    ],
)
def test_operator_is_a_filter_and_no_word(typed, condition):
    parsed = parse_query(f"{typed} tea")

    assert parsed.filter == condition
    assert parsed.text == parsed.words.text == "tea"
    assert parsed.unknown == ()


@pytest.mark.parametrize(
    "typed",
    [
        "http://example.org/a?b=c",
        "10:30",
        "note: buy milk",
        "tag:",
        "C:\\temp",
        "(see below)",
        "(",
        ")",
        "((((",
        "()",
        "(tag:a",
        "(tag:a OR)",
        "(OR)",
        "OR",
        "cats OR dogs",
        "tag",
        '"',
        '""',
        '"?!"',
        '5" wide',
        "-",
        "--",
        "- draft",
        "-5 degrees",
        "-v",
        "*",
        "a*",
        "***",
        "?!...",
        "🎉",
        "שלום עולם",
        "well-known",
    ],
)
def test_what_is_no_operator_stays_text(typed):
    parsed = parse_query(typed)

    assert parsed.words.text.replace("tag:a", "") == parsed.text.replace("tag:a", "")
    assert parsed.text
    assert not parsed.words.phrases
    assert not parsed.words.excluded
    assert parsed.unknown == ()


@pytest.mark.parametrize(
    "typed",
    [
        "before:soon",
        'tag:""',
        "before:2026-13",
        "before:2026-02-30",
        "before:0000",
        "until:9999-12-31",
        "importance:high",
        "importance:1e999",
        "importance:1..x",
        "importance:x..1",
        "created:>",
        "has:nothing",
        "id:seven",
        "tag:,",
        "metadata.:x",
        "metadata.a:1..2026-05-01",
        "tag.a:x",
        "topic:tea",
        "-topic:tea",
    ],
)
def test_operator_that_is_not_understood_is_text_and_is_told(typed):
    parsed = parse_query(typed)

    assert parsed.text == parsed.words.text == typed
    assert parsed.filter == EVERYTHING
    assert parsed.unknown == (typed,)


def test_emoji_is_a_phrase_like_a_word():
    assert parse_query('"🎉"').words.phrases == ("🎉",)


def test_phrase_in_typographic_quotes_is_a_phrase():
    assert parse_query("“two  words” «trois mots»").words.phrases == ("two words", "trois mots")


def test_parentheses_around_words_and_operators_keep_both():
    parsed = parse_query("(tea tag:work)")

    assert parsed.filter == tag("work")
    assert parsed.words.text == "(tea )"


def test_constraints_beyond_the_bound_are_words():
    parsed = parse_query(" ".join(f'"phrase {n}"' for n in range(MAX_CONSTRAINTS + 5)))

    assert len(parsed.words.phrases) == MAX_CONSTRAINTS
    assert parsed.words.text.count("phrase") == 5


def test_conditions_are_counted_by_the_values_they_compare():
    many = ",".join(str(n) for n in range(MAX_CONSTRAINTS))

    assert parse_query(f"tag:{many}").filter == tag(*many.split(","))
    assert parse_query(f"tag:x tag:{many}").filter == tag("x")
    assert parse_query(f"-(tag:x before:2026 user:{many})").filter == EVERYTHING


@pytest.mark.parametrize(
    "unit", ["(tag:a ", "tag:a OR ", '"a ', "(", 'a:"', "-", "a.", "a*", "x ", "tag:a,b ", '"', "-(", "“"]
)
def test_odd_text_of_any_length_is_read_in_moderate_time(unit):
    text = (unit * 32_768)[:32_768]
    started = time.thread_time()

    parsed = parse_query(text)

    # Of the processor's time: quadratic in this length would be minutes.
    assert time.thread_time() - started < 5.0
    assert parsed.text or parsed.filter != EVERYTHING


def test_every_field_of_the_memory_is_an_operator_key():
    assert {"user_id", "occurred_at", "importance", "before", "has"} <= KEYS
