"""Why a broker was not reached, in words that say where to look; it repeats nothing that may hold a secret."""

from __future__ import annotations

__all__ = ["diagnosis"]

import asyncio
import ssl

import aiormq


def diagnosis(error: Exception | None) -> str:
    """Return an error of the client library without what that might put into it."""
    match error:
        case None:
            return "it has not answered yet"
        case aiormq.exceptions.InvalidFrameError():
            # All that aiormq says when the broker closes in mid-handshake; it may be starting: no refusal for good.
            return "it ended the handshake: does the virtual host exist, and may this user enter it?"
        case aiormq.exceptions.ProtocolSyntaxError():
            return "it speaks another version of AMQP than 0-9-1"
        case _:
            return _cause(error) or _kind(error)


def _cause(error: Exception) -> str | None:
    match error.__cause__:
        case ssl.SSLError() as cause:
            # What is wrong with whose certificate, in OpenSSL's words; "alert" says that the broker has complained.
            return f"TLS failed: {cause.reason}; look at cafile, certfile and keyfile in the URL's query"
        case ConnectionResetError():
            # With TLS 1.3 a broker judges our certificate after we take the handshake for done; what we write then
            # meets a closed socket, and its reset may overtake the alert.
            return "it reset the connection in mid-handshake: with amqps://, does it accept this certificate?"
        case asyncio.IncompleteReadError():
            return "it ended the connection in mid-handshake: is this the port of a broker, with TLS as the URL says?"
        case _:
            return None


def _kind(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
