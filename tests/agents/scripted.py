"""An agent for tests whose handler does what the question's text says."""

from __future__ import annotations

__all__ = ["Scripted"]

from collections import Counter

import anyio

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Agent, Returned, to
from interlock.agents.context import Context
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError


class Scripted:
    """An agent whose handler does what the question's text says."""

    def __init__(self) -> None:
        self.agent = Agent(AGENT, catalogue=CATALOGUE)
        self.agent.on(self.answer)
        self.agent.on(self.note)
        self.seen: list[str] = []
        self.attempts: Counter[str] = Counter()
        self.go_on = anyio.Event()
        self.repaired = False
        self.running = 0
        self.most = 0

    async def note(self, note: Note, _: Context) -> None:
        self.seen.append(note.text)

    async def answer(self, question: Question, context: Context) -> Returned:
        self.seen.append(question.text)
        self.attempts[question.text] += 1
        match question.text.split(":"):
            case ["nothing", *_]:
                return None
            case ["several", *_]:
                return [Answer(text="one"), to(PEER, Answer(text="two"))]
            case ["flaky", *_] if self.attempts[question.text] < 3:
                raise TransientError("not yet")
            case ["transient", *_]:
                raise TransientError("never")
            case ["permanent", *_]:
                raise PermanentError("no such \u202eshelf\x1b[2J")
            case ["unknown", *_]:
                raise UnknownOutcomeError("the line broke")
            case ["wrong-route", *_]:
                return to(PEER, Note(text="not mine to say"))
            case ["defect", *_] if not self.repaired:
                raise KeyError("password=hunter2")
            case ["status", *_]:
                raise HttpError
            case ["waits", *_]:
                self.running += 1
                self.most = max(self.most, self.running)
                try:
                    await self.go_on.wait()
                finally:
                    self.running -= 1
            case ["progress", *_]:
                await context.progress("half", percent=50)
                if context.attempt < 3:
                    raise TransientError("again")
            case _:
                pass
        return Answer(text=question.text)


class HttpError(PermanentError):
    """An error of a system whose code is no code of ours."""

    code = 404
