"""Jira spoken to live, through the `jira` library's blocking calls on worker threads, each bounded in time.

Data Center is addressed by REST version 2 with wiki markup, Cloud by version 3 with the Atlassian Document Format.
"""

from __future__ import annotations

__all__ = ["JiraClient"]

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from jira import JIRA

from interlock.agents.systems.jira import adf, jql, wiki
from interlock.agents.systems.jira.faults import ConnectionLostError, raised_as_interlock
from interlock.agents.systems.jira.issue import Description, HistoryEntry, Issue, NewIssue, deduplication_label
from interlock.agents.systems.jira.wire import Attachment, IssueDocument, Transition
from interlock.agents.systems.outside import calling
from interlock.protocol.errors import PermanentError, UnknownOutcomeError, UsageError

_Answer = TypeVar("_Answer")

_FIELDS = "project,issuetype,summary,description,status,assignee,reporter,labels,priority,comment,attachment"
_KEY = re.compile(r"[A-Z][A-Z0-9_]{1,19}-[1-9][0-9]{0,8}")
_MARKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}")
_REFERENCE = "interlock-ref:"


class JiraClient:
    """A JiraPort on a real Jira. Nothing is sent before the first call; close it with `aclose`."""

    def __init__(
        self,
        url: str,
        *,
        user: str | None,
        token: str,
        cloud: bool,
        timeout: float = 20.0,
        looks: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0),
    ) -> None:
        """Prepare a client.

        `user` None sends the token as a bearer (a Data Center personal access token), else user and token go as basic
        authentication (Cloud). `timeout` is in seconds, for one answer. `looks` are the seconds to wait before each
        look for an issue whose creation was cut off: the search index lags behind.
        """
        self._url = url
        self._cloud = cloud
        self._limit = 2 * timeout
        self._looks = tuple(looks)
        self._writing = anyio.Lock()
        self._jira: Any = JIRA(  # untyped in part
            url,
            options={"rest_api_version": "3" if cloud else "2"},
            basic_auth=None if user is None else (user, token),
            token_auth=token if user is None else None,
            timeout=timeout,
            max_retries=0,  # the caller repeats: it has the deadline and the clock
            get_server_info=False,
            logging=False,
        )
        self._jira.deploymentType = "Cloud" if cloud else "Server"

    def __repr__(self) -> str:
        return f"JiraClient({self._url!r}, cloud={self._cloud})"

    async def issue(self, key: str) -> Issue:
        """See JiraPort."""
        return (await self._document(key)).issue()

    async def create(self, new: NewIssue, *, key: str) -> Issue:
        """See JiraPort. Two processes that create at once settle on the older issue; the younger one is deleted."""
        label = deduplication_label(key)
        async with self._writing:
            found = await self._oldest(new.project, label)
            if found is None:
                found = await self._created(new, label)
        await self._watch(found.key, new.watchers)
        return found

    async def _created(self, new: NewIssue, label: str) -> Issue:
        fields = await self._call("look up accounts", lambda jira: self._fields(jira, new, label))
        action = f"create the issue labelled {label} in {new.project}"
        try:
            raw: Any = await self._call(action, lambda jira: jira.create_issue(fields, prefetch=False).raw)
        except ConnectionLostError as error:
            for wait in self._looks:
                await anyio.sleep(wait)
                if found := await self._oldest(new.project, label):
                    return found
            raise UnknownOutcomeError(
                f"Jira may have created the issue labelled {label} in {new.project}; search for the label before "
                "creating it again"
            ) from error
        created = await self.issue(raw["key"])
        first = await self._oldest(new.project, label)
        if first is None or _number(first.key) >= _number(created.key):
            return created
        await self._call(f"delete the duplicate {created.key}", lambda jira: jira.issue(created.key).delete())
        return first

    async def _oldest(self, project: str, label: str) -> Issue | None:
        found = await self.search(project=project, labels=(label,))
        return min(found, key=lambda issue: _number(issue.key), default=None)

    async def transition(self, key: str, to: str) -> str:
        """See JiraPort."""
        async with self._writing:
            now = (await self._document(key)).fields.status.name
            if now.casefold() == to.casefold():
                return now
            step = await self._step(key, now, to)
            await self._call(f"move {key} to {to}", lambda jira: jira.transition_issue(key, step.id))
            reached = (await self._document(key)).fields.status.name
        if reached != step.to.name:
            raise UnknownOutcomeError(f"{key} was moved to {step.to.name!r} and is {reached!r}; see who else moves it")
        return reached

    async def _step(self, key: str, now: str, to: str) -> Transition:
        raw: list[Any] = await self._call(f"list the transitions of {key}", lambda jira: jira.transitions(key))
        offered = [Transition.model_validate(step) for step in raw]
        by_name = {step.name.casefold(): step for step in offered}
        by_status = {step.to.name.casefold(): step for step in offered}
        if step := (by_name | by_status).get(to.casefold()):
            return step
        names = ", ".join(f"{step.name} -> {step.to.name}" for step in offered) or "nothing"
        raise PermanentError(f"{key} cannot go from {now!r} to {to!r}; its workflow offers: {names}")

    async def comment(self, key: str, text: str, *, marker: str) -> str:
        """See JiraPort. The comment ends in the line `interlock-ref: <marker>`, by which it is found again."""
        if not _MARKER.fullmatch(marker):
            raise UsageError(f"a comment's marker is 1 to 200 letters, digits and . _ : / -, not {marker!r}")
        reference = f"{_REFERENCE} {marker}"
        content = self._comment(f"{text.strip()}\n\n{reference}")
        async with self._writing:
            for comment in (await self.issue(key)).comments:
                written = adf.plain_text(comment.body).strip()
                if written.rsplit("\n", 1)[-1].strip() != reference:
                    continue
                if _lines(written) != _lines(adf.plain_text(content)):
                    await self._rewrite(key, comment.id, content)
                return comment.id
            raw: Any = await self._call(f"comment on {key}", lambda jira: jira.add_comment(key, content).raw)
            return str(raw["id"])

    async def _rewrite(self, key: str, comment: str, content: Description) -> None:
        action = f"update comment {comment} of {key}"
        await self._call(action, lambda jira: jira.comment(key, comment).update(body=content))

    async def attach(self, key: str, filename: str, content: bytes) -> None:
        """See JiraPort."""
        if not content or not filename or set(filename) & set('/\\\r\n"'):
            raise UsageError(
                f"an attachment needs a plain file name and content; {filename!r} has {len(content)} bytes"
            )
        async with self._writing:
            for attached in (await self._document(key)).fields.attachment:
                same_shape = (attached.filename, attached.size) == (filename, len(content))
                if same_shape and await self._content(attached) == content:
                    return
            await self._call(
                f"attach {filename} to {key}",
                lambda jira: jira.add_attachment(key, io.BytesIO(content), filename=filename),
            )

    async def _content(self, attachment: Attachment) -> bytes:
        action = f"read the attachment {attachment.id}"
        content: bytes = await self._call(action, lambda jira: jira.attachment(attachment.id).get())
        return content

    async def search(
        self,
        *,
        project: str,
        issue_type: str | None = None,
        statuses: Sequence[str] = (),
        labels: Sequence[str] = (),
        summary: str | None = None,
        limit: int = 50,
    ) -> tuple[Issue, ...]:
        """See JiraPort."""
        clauses = [jql.equals("project", project)]
        clauses += [jql.equals("issuetype", issue_type)] if issue_type else []
        clauses += [jql.one_of("status", statuses)] if statuses else []
        clauses += [jql.equals("labels", label) for label in labels]
        clauses += [jql.contains("summary", summary)] if summary else []
        query = f"{' AND '.join(clauses)} ORDER BY created ASC"
        raw: Any = await self._call(
            f"search for {query}",
            lambda jira: jira.search_issues(query, maxResults=limit, fields=_FIELDS, json_result=True),
        )
        with raised_as_interlock(f"read what was found for {query}"):
            return tuple(IssueDocument.model_validate(found).issue() for found in raw["issues"])

    async def history(self, key: str) -> tuple[HistoryEntry, ...]:
        """See JiraPort. Cloud gives the latest 100 changes."""
        return (await self._document(key, expand="changelog")).history()

    async def aclose(self) -> None:
        """See JiraPort."""
        self._jira.close()

    async def _document(self, key: str, *, expand: str | None = None) -> IssueDocument:
        if not _KEY.fullmatch(key):
            raise UsageError(f"not an issue key: {key!r}")
        raw: Any = await self._call(f"read {key}", lambda jira: jira.issue(key, fields=_FIELDS, expand=expand).raw)
        with raised_as_interlock(f"read {key}"):
            return IssueDocument.model_validate(raw)

    async def _watch(self, key: str, watchers: Sequence[str]) -> None:
        def add(jira: Any) -> None:
            for watcher in watchers:
                jira.add_watcher(key, watcher)

        await self._call(f"add watchers to {key}", add)

    def _fields(self, jira: Any, new: NewIssue, label: str) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "project": {"key": new.project},
            "issuetype": {"name": new.issue_type},
            "summary": new.summary,
            "description": self._body(new.description),
            "labels": [*new.labels, label],
        }
        if new.priority:
            fields["priority"] = {"name": new.priority}
        for role, account in (("assignee", new.assignee), ("reporter", new.reporter)):
            if account:
                fields[role] = self._account(jira, account)
        return fields

    def _account(self, jira: Any, name: str) -> dict[str, str]:
        if not self._cloud:
            return {"name": name}
        found: list[Any] = [user.raw for user in jira.search_users(query=name)]
        if len(found) != 1:
            raise PermanentError(f"{len(found)} Jira accounts match {name!r}; name one by its e-mail address")
        return {"accountId": found[0]["accountId"]}

    def _comment(self, markup: str) -> Description:
        """Return a comment as this Jira takes it: wiki markup, or a document made of it."""
        return wiki.to_document(markup) if self._cloud else markup

    def _body(self, text: Description) -> Any:
        return adf.from_text(text) if self._cloud and isinstance(text, str) else text

    async def _call(self, action: str, work: Callable[[Any], _Answer]) -> _Answer:
        """Run blocking work on a thread. A cancelled or late call is abandoned; the thread ends by its own time-out."""
        what = action.partition(" ")[0]  # the rest names issues
        with calling("jira", what), raised_as_interlock(action), anyio.fail_after(self._limit):
            return await anyio.to_thread.run_sync(work, self._jira, abandon_on_cancel=True)


def _number(key: str) -> int:
    return int(key.rpartition("-")[2])


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
