"""The ground of every schema: strict, nothing extra, and errors that name the field and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from mnemata.api.rest.errors import first_of
from mnemata.domain.errors import InvalidField

_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?", re.ASCII
)
_FAR = re.compile(r"[+-]?(\d{5,}|0000)-\d{2}-\d{2}.*", re.ASCII | re.DOTALL)
_WITHOUT_PLUS = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)? \d{2}:?\d{2}", re.ASCII)
"""A + in a URL's query is a space, as forms have it."""
_EXAMPLE = "2026-05-01T09:30:00Z"


class Model(BaseModel):
    """A JSON object of the contract: no coercion, no unknown member, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_as(model: type[ModelT], value: Any, *, what: str = "body") -> ModelT:
    """`value` as the model; raises InvalidField naming the first wrong field and listing the others."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), known=list(model.model_fields), what=what) from None


def invalid(errors: Sequence[ErrorDetails], *, known: Sequence[str] = (), what: str = "body") -> InvalidField:
    """Pydantic's errors as one of ours. An unknown name comes first: it is why another one is missing."""
    ordered = sorted(errors, key=lambda error: error["type"] != "extra_forbidden")
    return first_of([_translate(error, known, what) for error in ordered])


def _translate(error: ErrorDetails, known: Sequence[str], what: str) -> InvalidField:
    field = field_path(error["loc"]) or what
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return InvalidField(field=field, reason="is not known", remedy=_nearest(field, known))
        case "told":
            return InvalidField(field=field, reason=str(context["reason"]), remedy=str(context["remedy"]))
        case kind if kind in _TYPES:
            reason, remedy = _TYPES[kind]
            return InvalidField(field=field, reason=reason, remedy=remedy)
        case kind if kind.startswith(("greater_than", "less_than")):
            return InvalidField(field=field, reason="is out of range", remedy=f"Send a number {_wish(error)}")
        case _:
            return InvalidField(field=field, reason="does not fit", remedy=f"Send {_wish(error)}")


_OBJECT = ("is not a JSON object", "Send {...}")
_ARRAY = ("is not an array", "Send [...]")
_BOOLEAN = ("is not a boolean", "Send true or false")
_INTEGER = ("is not an integer", "Send a whole number")
_NUMBER = ("is not a number", "Send a number")
_UUID = ("is not a UUID", "Send an id as it came from this API")
_TYPES: dict[str, tuple[str, str]] = {
    "missing": ("is missing", "Send it"),
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": _ARRAY,
    "string_type": ("is not a string", "Send a JSON string"),
    "string_unicode": ("contains half of a surrogate pair", "Send valid Unicode text"),
    "finite_number": ("is not a finite number", "Send a finite number"),
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_parsing_size": _INTEGER,
    "int_from_float": _INTEGER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
}


def _wish(error: ErrorDetails) -> str:
    """What pydantic would like to see, without its first words."""
    text = error["msg"]
    for opening in ("Input should be ", "String should have ", "List should have ", "Value error, "):
        text = text.removeprefix(opening)
    return text[:1].lower() + text[1:]


def field_path(location: Sequence[int | str]) -> str:
    """Pydantic's location as people write it: `tags[0]`, `embedding.values`."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def told(reason: str, remedy: str) -> PydanticCustomError:
    """A validation error that says for itself what is wrong and what to send."""
    return PydanticCustomError("told", "{reason}. {remedy}", {"reason": reason, "remedy": remedy})


def _nearest(field: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(field.rpartition(".")[2], known, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Leave it out; known are: {', '.join(known)}" if known else "Leave it out"


def read_moment(value: Any) -> datetime:
    """An RFC 3339 date-time with its zone, in UTC. Raises a validation error with the remedy."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise told("is not a date-time", f"Send a string such as '{_EXAMPLE}'")
    if _FAR.fullmatch(value):
        raise told("is too far away to be stored", "Send a moment in the years 1 to 9999")
    if _WITHOUT_PLUS.fullmatch(value):
        raise told(
            "has a space in the place of the + of its offset",
            "Send '+'; in a URL write it as %2B, or send 'Z'",
        )
    if not _MOMENT.fullmatch(value):
        raise told("is not an RFC 3339 date-time", f"Send a string such as '{_EXAMPLE}'")
    try:
        moment = datetime.fromisoformat(value.upper().replace(" ", "T"))
    except ValueError:
        raise told("is not a moment that exists", f"Send a string such as '{_EXAMPLE}'") from None
    if moment.tzinfo is None:
        raise told("has no time zone", "Add 'Z' or an offset such as '+02:00'")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise told("is too far away to be stored", "Send a moment in the years 1 to 9999") from None


Moment = Annotated[
    datetime,
    BeforeValidator(read_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [_EXAMPLE]}),
]
"""A point in time: RFC 3339 with a zone."""
