"""Each message has an example that the decoder accepts, or its author is told how to give one."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, model_validator

from interlock.protocol import CATALOGUE, Event, Message, Route, UsageError, decode, encode
from interlock.protocol.examples import example
from interlock.protocol.shapes import EXAMPLES, MEANINGS

ROUTE = Route.of("qa-agent", "devops-agent")


@pytest.mark.parametrize("message", tuple(CATALOGUE), ids=lambda message: message.declaration.type)
def test_every_message_has_an_example_that_is_decoded_and_encoded_again(message: type[Message]) -> None:
    made = example(message)

    assert type(made.payload) is message
    assert decode(encode(made)) == made
    assert encode(made) == encode(example(message))


def test_every_shape_has_an_example() -> None:
    assert EXAMPLES.keys() == MEANINGS.keys()


def test_what_fields_are_like_is_said_where_they_are_declared() -> None:
    class Warmed(Event, type="warmed", route=ROUTE):
        """A cache is warm."""

        key: Annotated[str, Field(pattern="^k[0-9]+$", examples=["k17"])]
        size: Annotated[int, Field(le=5)]
        at: tuple[Annotated[float, Field(ge=2.5)], ...]
        owners: dict[str, bool]
        note: str | None = None

    assert example(Warmed).payload == Warmed(key="k17", size=1, at=(2.5,), owners={"name": True})


def test_a_whole_example_can_be_given() -> None:
    class Renamed(Event, type="renamed", route=ROUTE, example={"was": "a", "isNow": "b"}):
        """Something has another name: not the one that it had."""

        was: str
        is_now: str

        @model_validator(mode="after")
        def _differ(self) -> Renamed:
            if self.was == self.is_now:
                raise ValueError("the same name")
            return self

    assert example(Renamed).payload == Renamed(was="a", is_now="b")


def test_where_none_can_be_made_the_author_is_told_how_to_give_one() -> None:
    class Odd(Event, type="odd", route=ROUTE):
        """Has a field that no example can be guessed for."""

        key: Annotated[str, Field(pattern="^k[0-9]+$")]

    with pytest.raises(UsageError, match=r"odd version 1.*payload\.key.*Field\(examples=\[…\]\)"):
        example(Odd)
