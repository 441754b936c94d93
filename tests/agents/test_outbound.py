"""What a handler returns becomes envelopes whose ids follow from their cause, on routes that the catalogue allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Returned, to
from interlock.agents.outbound import commit_of
from interlock.bus.store.records import Commit
from interlock.protocol.codec import decode
from interlock.protocol.envelope import MAX_HOPS, Envelope
from interlock.protocol.errors import PermanentError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskDeclined

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def cause(hops: int = 0, *, traceparent: str | None = None) -> Envelope[Message]:
    envelope = Envelope.wrap(
        Question(text="hello"), sender=PEER, receiver=AGENT, sent_at=NOW, hops=hops, traceparent=traceparent
    )
    return Envelope[Message].model_validate(dict(envelope))


def sent(returned: Returned, envelope: Envelope[Message]) -> list[Envelope[Message]]:
    commit = commit_of(returned, agent=AGENT, cause=envelope, now=NOW)
    return [decode(message.body, catalogue=CATALOGUE) for message in commit.outgoing]


def test_nothing_returned_is_nothing_sent() -> None:
    assert commit_of(None, agent=AGENT, cause=cause(), now=NOW) == Commit()
    assert sent([], cause()) == []


def test_a_whole_commit_is_taken_as_it_is() -> None:
    commit = Commit(cancel_timers=(("a", "b"),))
    assert commit_of(commit, agent=AGENT, cause=cause(), now=NOW) is commit


def test_one_message_goes_to_who_asked_and_an_addressed_one_elsewhere() -> None:
    answers = sent((Answer(text="a"), to("third-agent", Answer(text="b"))), cause())
    assert [envelope.receiver for envelope in answers] == [PEER, "third-agent"]


def test_only_what_is_not_addressed_goes_to_the_reply_address() -> None:
    commit = commit_of(
        (Answer(text="a"), to(PEER, Answer(text="b"))), agent=AGENT, cause=cause(), now=NOW, reply_to="reply.x.1"
    )
    assert [message.reply_to for message in commit.outgoing] == ["reply.x.1", None]


def test_the_same_cause_gives_the_same_ids_and_another_gives_others() -> None:
    first, second = cause(), cause()
    answers = (Answer(text="a"), Answer(text="b"))
    ids = [envelope.id for envelope in sent(answers, first)]
    assert [envelope.id for envelope in sent(answers, first)] == ids
    assert len({*ids, *(envelope.id for envelope in sent(answers, second))}) == 4


def test_conversation_causation_and_trace_go_on() -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    envelope = cause(traceparent=traceparent)
    (answer,) = sent(Answer(text="a"), envelope)
    assert (answer.conversation_id, answer.causation_id) == (envelope.conversation_id, envelope.id)
    assert answer.traceparent == traceparent


def test_a_request_carries_its_deadline_and_an_answer_has_none() -> None:
    question, answer = sent((Question(text="and you?"), Answer(text="a")), cause())
    assert question.deadline == NOW + timedelta(minutes=10)
    assert answer.deadline is None


def test_a_route_that_the_catalogue_does_not_have_is_refused_before_it_is_sent() -> None:
    with pytest.raises(UsageError, match=f"{AGENT} may not send note to {PEER}"):
        sent(Note(text="a"), cause())


def test_answers_to_answers_are_counted_up_to_a_limit_that_only_last_words_may_pass() -> None:
    assert sent(Answer(text="a"), cause(MAX_HOPS - 1))[0].hops == MAX_HOPS
    assert sent(TaskDeclined(code="x", reason="y"), cause(MAX_HOPS))[0].hops == MAX_HOPS
    assert sent(Question(text="anew"), cause(MAX_HOPS))[0].hops == 0
    with pytest.raises(PermanentError, match="answer each other's answers"):
        sent(Answer(text="a"), cause(MAX_HOPS))
