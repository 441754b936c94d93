"""An agent as its author writes it: a name, and functions from a message to messages; it knows no transport."""

from __future__ import annotations

__all__ = ["Addressed", "Agent", "Answer", "Handler", "Returned", "to"]

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from interlock.agents.context import Context
from interlock.agents.timer import TIMER
from interlock.bus.store.records import Commit
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.message import ALL, Message


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message with its receiver, where that is not simply who asked."""

    message: Message
    receiver: str


def to(receiver: str, message: Message) -> Addressed:
    """Address a returned message to someone other than the sender of what is being handled."""
    return Addressed(message, receiver)


Answer: TypeAlias = Message | Addressed
Returned: TypeAlias = Answer | Sequence[Answer] | Commit | None
"""What a handler may return: nothing, one message, several, or a whole commit (workflows)."""

Handler: TypeAlias = Callable[[Any, Context], Awaitable[Returned]]
HandlerT = TypeVar("HandlerT", bound=Handler)


class Agent:
    """A named set of handlers. It can be called in a test like any object; `Runtime` makes it a process."""

    def __init__(self, name: str, *, version: str = "0.1.0", catalogue: Catalogue | None = None) -> None:
        """`catalogue` is what it can read; by default that of Interlock and of every installed package.

        The message classes in the annotations of its handlers are always added.
        """
        self.name = name
        self.version = version
        self._base = catalogue
        self._known: Catalogue | None = None
        self._mentioned: set[type[Message]] = set()
        self._handlers: dict[tuple[str, int], Handler] = {}
        self._timers: dict[str, Handler] = {}
        self._announcements: set[str] = set()

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, handles={list(self.handles)})"

    @property
    def handles(self) -> tuple[str, ...]:
        """The message types that it has handlers for, sorted."""
        return tuple(sorted({name for name, _ in self._handlers}))

    @property
    def catalogue(self) -> Catalogue:
        """What it can read: each type that it has handlers for up to the newest version that one is for.

        So an older version is upcast to the one that is handled, and no further.
        """
        if self._known is None:
            self._known = self._readable()
        return self._known

    def _readable(self) -> Catalogue:
        base = installed_catalogue() if self._base is None else self._base
        newest: dict[str, int] = {}
        for name, version in self._handlers:
            newest[name] = max(version, newest.get(name, 1))
        readable = base.with_messages(*(self._mentioned - set(base))).up_to(newest)
        for name, version in self._handlers:
            read = readable.reading(name, version).read.declaration.version
            if read != version:
                raise UsageError(
                    f"{self.name}: {name} version {version} is upcast to version {read}: handle that alone"
                )
        return readable

    @property
    def announcements(self) -> frozenset[str]:
        """The types that it wants when they are sent to `all`."""
        return frozenset(self._announcements)

    def on(self, handler: HandlerT) -> HandlerT:
        """Register a handler; the annotation of its first parameter selects the messages.

        A union selects several. What it returns is sent: to the sender of what it handles unless `to(...)` says
        otherwise. Raises UsageError when the annotation names no message, or one that has a handler already.
        """
        selected = _selected(handler)
        for message in selected:
            self.handle(message, handler)
        self._mentioned.update(_messages_in(_hints(handler).get("return")))
        return handler

    def handle(self, message: type[Message], handler: Handler) -> None:
        """Register a handler for one message class, where no annotation can say it.

        Versions that no upcast joins are messages of their own. Raises UsageError when the class has another handler
        already, or when one of two versions would never reach its handler, since it is read as the other.
        """
        name, version = message.declaration.type, message.declaration.version
        if name == TIMER:
            raise UsageError(f"{self.name}: no message may have the type {TIMER}, under which a store keeps timers")
        if self._handlers.setdefault((name, version), handler) is not handler:
            raise UsageError(f"{self.name} has two handlers for {name} version {version}")
        self._mentioned |= {message, *message.declaration.replies}
        self._known = None
        if len([known for known, _ in self._handlers if known == name]) > 1:
            self._known = self._readable()
        if ALL in message.declaration.route.receivers:
            self._announcements.add(name)

    def handle_timer(self, name: str, handler: Handler) -> None:
        """Register a handler for the timers of this name, which its own commits set; it is given a `TimerFired`."""
        if self._timers.setdefault(name, handler) is not handler:
            raise UsageError(f"{self.name} has two handlers for the timer {name}")

    def handler(self, type: str, version: int = 1) -> Handler | None:  # noqa: A002 - the wire's word
        """Return the handler of a wire name and version."""
        return self._handlers.get((type, version))

    def timer_handler(self, name: str) -> Handler | None:
        """Return the handler of a timer."""
        return self._timers.get(name)

    def run(self) -> None:
        """Run as a process until SIGTERM or SIGINT: broker, store and identity from settings. Blocks."""
        from interlock.agents.process import run_agents  # the process reads settings and opens sockets: only when asked

        run_agents([self])


def _selected(handler: Callable[..., Any]) -> Iterable[type[Message]]:
    parameters = [*inspect.signature(handler).parameters.values()]
    hints = _hints(handler)
    annotation = hints.get(parameters[0].name) if parameters else None
    candidates = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    messages = [c for c in candidates if isinstance(c, type) and issubclass(c, Message) and "declaration" in vars(c)]
    if not messages or len(messages) != len(candidates):
        name = getattr(handler, "__qualname__", repr(handler))
        raise UsageError(f"{name}: annotate the first parameter with a message class of the catalogue, or a union")
    return messages


def _messages_in(annotation: object) -> Iterator[type[Message]]:
    """Return the concrete message classes in what a handler says that it returns."""
    if isinstance(annotation, type) and issubclass(annotation, Message) and "declaration" in vars(annotation):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _messages_in(part)


def _hints(handler: Callable[..., Any]) -> Mapping[str, Any]:
    function = handler if inspect.isfunction(handler) or inspect.ismethod(handler) else type(handler).__call__
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        name = getattr(handler, "__qualname__", repr(handler))
        raise UsageError(
            f"{name}: {error}; annotations of handlers are needed at run time, import their names"
        ) from error


def _is_union(annotation: object) -> bool:
    return typing.get_origin(annotation) in {typing.Union, types.UnionType}
