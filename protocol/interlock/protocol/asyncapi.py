"""The catalogue as one AsyncAPI 3.0 document beside the JSON Schemas; it describes, and decides nothing.

One channel for each agent and type that it is sent, by the address that it is routed by; one operation for each agent
that sends, and that receives. Payloads refer to the exported schema files.
"""

from __future__ import annotations

__all__ = ["FILE", "asyncapi"]

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from interlock.protocol.catalogue import Catalogue, declared_in
from interlock.protocol.codec import CONTENT_TYPE, encode
from interlock.protocol.examples import example
from interlock.protocol.message import ANY, Message, Reply, Request
from interlock.protocol.messages import task
from interlock.protocol.schemas import file_name, index_entry

FILE = "asyncapi.json"

_EXCHANGE = {"name": "interlock", "type": "topic", "durable": True, "autoDelete": False}
_TEXT = (
    "Every message that the agents exchange. A body is the envelope with its payload; a channel's address is the "
    "routing key, `<receiver>.<type>`. Receivers drop members that they do not know."
)


def asyncapi(catalogue: Catalogue, *, title: str, version: str) -> Mapping[str, Any]:
    """Return the document; `version` is that of what is described. Raises UsageError for a message with no example."""
    return _Document(catalogue).content(title, version)


class _Document:
    """What refers to one another by name."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._life_cycle = [message for message in declared_in(task) if message in set(catalogue)]

    def content(self, title: str, version: str) -> Mapping[str, Any]:
        """Return the whole."""
        channels: dict[str, Any] = {}
        operations: dict[str, Any] = {}
        for message in self._catalogue:
            self._add(message, channels, operations)
        return {
            "asyncapi": "3.0.0",
            "info": {
                "title": title,
                "version": version,
                "description": _TEXT,
                "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            },
            "defaultContentType": CONTENT_TYPE,
            "channels": channels,
            "operations": operations,
            "components": {
                "messages": {_name(message): self._message(message) for message in self._catalogue},
                "correlationIds": {
                    "conversation": {
                        "description": "One per workflow: all that is said about it shares it.",
                        "location": "$message.payload#/conversationId",
                    },
                    "request": {
                        "description": "The id of the request that a reply answers.",
                        "location": "$message.payload#/causationId",
                    },
                },
            },
        }

    def _add(self, message: type[Message], channels: dict[str, Any], operations: dict[str, Any]) -> None:
        declared = message.declaration
        for receiver in sorted(declared.route.receivers):
            key = f"{_agent(receiver)}.{declared.type}"
            channel = channels.setdefault(key, _channel(receiver, declared.type))
            channel["messages"][_name(message)] = _reference("components", "messages", _name(message))
            self._operate(operations, f"{_agent(receiver)}.receive.{declared.type}", "receive", key, message, receiver)
            for sender in sorted(declared.route.senders):
                name = f"{_agent(sender)}.send.{declared.type}.to.{_agent(receiver)}"
                self._operate(operations, name, "send", key, message, sender)
                if issubclass(message, Request):
                    operations[name]["reply"] = self._reply(message, sender, channels)

    def _operate(
        self, operations: dict[str, Any], name: str, action: str, channel: str, message: type[Message], agent: str
    ) -> None:
        operation = operations.setdefault(
            name,
            {
                "action": action,
                "channel": _reference("channels", channel),
                "summary": _first_line(message),
                "tags": [{"name": f"agent:{_agent(agent)}"}, *_tags(message)],
                "messages": [],
            },
        )
        operation["messages"].append(_reference("channels", channel, "messages", _name(message)))

    def _reply(self, message: type[Message], sender: str, channels: dict[str, Any]) -> Mapping[str, Any]:
        """Answers come to the requester's own queue, or to where it waits: an address of its own choice."""
        declared = message.declaration
        key = f"{_agent(sender)}.answers.{declared.type}"
        answers = [reply for reply in (*declared.replies, *self._life_cycle) if issubclass(reply, Reply)]
        known = {_name(reply): reply for reply in answers if reply in set(self._catalogue)}
        channel = channels.setdefault(
            key,
            {
                "address": None,
                "description": f"What may answer {declared.type}: at `{_agent(sender)}.<type of the answer>`, or at "
                "the address in the request's property reply_to.",
                "messages": {},
            },
        )
        channel["messages"] |= {name: _reference("components", "messages", name) for name in known}
        return {
            "channel": _reference("channels", key),
            "messages": [_reference("channels", key, "messages", name) for name in known],
        }

    def _message(self, message: type[Message]) -> Mapping[str, Any]:
        declared = message.declaration
        correlation = "request" if issubclass(message, Reply) else "conversation"
        described = {
            "name": declared.type,
            "title": message.__name__,
            "summary": _first_line(message),
            "contentType": CONTENT_TYPE,
            "correlationId": _reference("components", "correlationIds", correlation),
            "payload": {"$ref": f"./{file_name(message)}"},
            "tags": list(_tags(message)),
            "bindings": {"amqp": {"contentEncoding": "utf-8", "messageType": declared.type, "bindingVersion": "0.3.0"}},
            "examples": [{"name": declared.type, "payload": json.loads(encode(example(message)))}],
        }
        return described if declared.deadline is None else {**described, "x-deadline-seconds": declared.deadline}


def _channel(receiver: str, type: str) -> dict[str, Any]:  # noqa: A002 - the wire's word
    channel: dict[str, Any] = {
        "address": f"{{agent}}.{type}" if receiver == ANY else f"{receiver}.{type}",
        "messages": {},
        "bindings": {"amqp": {"is": "routingKey", "exchange": _EXCHANGE, "bindingVersion": "0.3.0"}},
    }
    if receiver == ANY:
        channel["parameters"] = {"agent": {"description": "The receiving agent's name."}}
    return channel


def _tags(message: type[Message]) -> Iterator[Mapping[str, str]]:
    entry = index_entry(message)
    yield {"name": f"kind:{entry['kind']}"}
    yield {"name": f"effect:{entry['effect']}"}


def _name(message: type[Message]) -> str:
    return f"{message.declaration.type}.v{message.declaration.version}"


def _agent(name: str) -> str:
    return "any" if name == ANY else name


def _first_line(message: type[Message]) -> str:
    return (message.__doc__ or "").partition("\n")[0]


def _reference(*path: str) -> Mapping[str, str]:
    return {"$ref": "#/" + "/".join(_escaped(path))}


def _escaped(path: Iterable[str]) -> Iterator[str]:
    """RFC 6901."""
    return (step.replace("~", "~0").replace("/", "~1") for step in path)
