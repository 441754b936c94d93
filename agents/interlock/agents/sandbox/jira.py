"""A small faithful Jira Data Center: the part of REST API v2 that the `jira` library uses, over HTTP, in memory.

Held to the shapes of "The Jira Data Center platform REST API" 9.x. It knows no client and no agent.
"""

from __future__ import annotations

__all__ = ["STATE", "jira_application", "seed_issue"]

import base64
import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from interlock.agents.sandbox.jira_faults import FAULTS, misbehave
from interlock.agents.sandbox.jira_query import JqlError, parse
from interlock.agents.sandbox.jira_render import Renderer
from interlock.agents.sandbox.jira_state import ISSUE_TYPES, STATUSES, WORKFLOW, JiraState, RefusedError, StoredIssue
from interlock.agents.sandbox.journal import Listener, unheard
from interlock.bus.clock import Clock

Json = dict[str, Any]

STATE: web.AppKey[JiraState] = web.AppKey("jira", JiraState)
"""What the emulator remembers, for tests to look at."""

_API = "/rest/api/{version:2|latest}"
_CREDENTIALS: web.AppKey[dict[str, str]] = web.AppKey("credentials", dict)
_ACCOUNT = web.RequestKey("account", str)


def jira_application(
    *,
    clock: Clock,
    credentials: dict[str, str],
    users: Iterable[str] = (),
    project: str = "PROJ",
    journal: Listener = unheard,
) -> web.Application:
    """Build the application.

    `credentials` are account -> password or token, taken as basic authentication or as a bearer token. `users` are
    further accounts that issues may name. `journal` hears of every accepted write, by issue key.
    """
    application = web.Application(middlewares=[_as_jira, misbehave, _authenticated], client_max_size=64 * 2**20)
    accounts = frozenset(credentials) | frozenset(users)
    application[STATE] = JiraState(project=project, users=accounts, now=clock.now, journal=journal)
    application[FAULTS] = []
    application[_CREDENTIALS] = credentials
    application.add_routes(
        [
            web.get(f"{_API}/serverInfo", _server_info),
            web.get(f"{_API}/myself", _myself),
            web.get(f"{_API}/field", _fields),
            web.get(f"{_API}/issuetype", _issue_types),
            web.get(f"{_API}/status", _statuses),
            web.get(f"{_API}/project/{{project}}", _project),
            web.get(f"{_API}/issue/createmeta/{{project}}/issuetypes", _create_meta),
            web.get(f"{_API}/user/search", _find_users),
            web.get(f"{_API}/search", _search),
            web.post(f"{_API}/search", _search),
            web.post(f"{_API}/issue", _create),
            web.get(f"{_API}/issue/{{key}}", _read),
            web.put(f"{_API}/issue/{{key}}", _update),
            web.delete(f"{_API}/issue/{{key}}", _delete),
            web.put(f"{_API}/issue/{{key}}/assignee", _assign),
            web.get(f"{_API}/issue/{{key}}/transitions", _transitions),
            web.post(f"{_API}/issue/{{key}}/transitions", _move),
            web.get(f"{_API}/issue/{{key}}/watchers", _watchers),
            web.post(f"{_API}/issue/{{key}}/watchers", _watch),
            web.get(f"{_API}/issue/{{key}}/comment", _comments),
            web.post(f"{_API}/issue/{{key}}/comment", _add_comment),
            web.get(f"{_API}/issue/{{key}}/comment/{{id}}", _comment),
            web.put(f"{_API}/issue/{{key}}/comment/{{id}}", _change_comment),
            web.delete(f"{_API}/issue/{{key}}/comment/{{id}}", _delete_comment),
            web.post(f"{_API}/issue/{{key}}/attachments", _attach),
            web.get(f"{_API}/attachment/{{id}}", _attachment),
            web.get("/secure/attachment/{id}/{name}", _download),
        ]
    )
    return application


def seed_issue(application: web.Application, fields: Json, *, key: str | None = None, author: str) -> str:
    """Add an issue as if `author` had created it, under a key of choice, and return the key.

    `fields` are plain: `project`, `issuetype`, `summary`, `description`, `assignee`, `labels`, `priority`. A
    description that is an Atlassian document is kept as one, as Jira Cloud would answer it.
    """
    document = fields["description"] if isinstance(fields.get("description"), dict) else None
    issue = application[STATE].create(fields | ({"description": ""} if document else {}), author=author, key=key)
    if document is not None:
        issue.fields["description"] = document
    return issue.key


@web.middleware
async def _as_jira(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals in Jira's shape."""
    try:
        return await handler(request)
    except RefusedError as error:
        return web.json_response({"errorMessages": [], "errors": error.errors}, status=400)
    except JqlError as error:
        return web.json_response({"errorMessages": [str(error)], "errors": {}}, status=400)
    except (json.JSONDecodeError, KeyError, TypeError):
        return web.json_response({"errorMessages": ["Can not deserialize the request."]}, status=400)


@web.middleware
async def _authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
    account = _account(request.headers.get("Authorization", ""), request.app[_CREDENTIALS])
    if account is None:
        return web.Response(status=401, headers={"WWW-Authenticate": 'OAuth realm="jira"'})
    request[_ACCOUNT] = account
    return await handler(request)


def _account(authorization: str, credentials: dict[str, str]) -> str | None:
    kind, _, secret = authorization.partition(" ")
    if kind == "Bearer":
        return {token: name for name, token in credentials.items()}.get(secret)
    try:
        name, _, password = base64.b64decode(secret, validate=True).decode().partition(":")
    except ValueError:
        return None
    return name if kind == "Basic" and credentials.get(name) == password else None


def _state(request: web.Request) -> JiraState:
    return request.app[STATE]


def _render(request: web.Request) -> Renderer:
    return Renderer(str(request.url.origin()))


def _missing(message: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(
        text=json.dumps({"errorMessages": [message], "errors": {}}), content_type="application/json"
    )


def _issue(request: web.Request) -> StoredIssue:
    wanted = request.match_info["key"]
    for issue in _state(request).issues.values():
        if wanted in {issue.key, issue.id}:
            return issue
    raise _missing("Issue Does Not Exist")


def _one_comment(request: web.Request, issue: StoredIssue) -> Json:
    for comment in issue.comments:
        if comment["id"] == request.match_info["id"]:
            return comment
    raise _missing(f"Can not find a comment for the id: {request.match_info['id']}.")


def _plain(fields: Json) -> Json:
    """Return REST fields (`{"name": …}`, `{"key": …}`) as plain values."""
    plain = dict(fields)
    for name, part in {
        "project": "key",
        "issuetype": "name",
        "priority": "name",
        "assignee": "name",
        "reporter": "name",
    }.items():
        if fields.get(name) is not None:
            plain[name] = fields[name].get(part)
    return plain


async def _server_info(request: web.Request) -> web.Response:
    info = {
        "baseUrl": str(request.url.origin()), "version": "9.12.0", "versionNumbers": [9, 12, 0],
        "deploymentType": "Server", "buildNumber": 9120000, "serverTitle": "Jira",
    }  # fmt: skip
    return web.json_response(info)


async def _myself(request: web.Request) -> web.Response:
    return web.json_response(_render(request).user(request[_ACCOUNT]))


async def _fields(_request: web.Request) -> web.Response:
    names = ["project", "issuetype", "summary", "description", "status", "assignee", "reporter", "labels", "priority"]
    return web.json_response(
        [{"id": name, "name": name.title(), "custom": False, "clauseNames": [name]} for name in [*names, "comment"]]
    )


async def _issue_types(request: web.Request) -> web.Response:
    return web.json_response([_render(request).named("issuetype", ISSUE_TYPES, name) for name in ISSUE_TYPES])


async def _statuses(request: web.Request) -> web.Response:
    return web.json_response([_render(request).named("status", STATUSES, name) for name in STATUSES])


async def _project(request: web.Request) -> web.Response:
    project = _state(request).project
    if request.match_info["project"] not in {project, "10000"}:
        raise _missing(f"No project could be found with key '{request.match_info['project']}'.")
    types = [_render(request).named("issuetype", ISSUE_TYPES, name) for name in ISSUE_TYPES]
    return web.json_response(_render(request).project(project) | {"issueTypes": types})


async def _create_meta(request: web.Request) -> web.Response:
    types = [_render(request).named("issuetype", ISSUE_TYPES, name) for name in ISSUE_TYPES]
    page = {"maxResults": 50, "startAt": 0, "total": len(types), "isLast": True, "values": types}
    return web.json_response(page)


async def _find_users(request: web.Request) -> web.Response:
    wanted = request.query.get("username") or request.query.get("query") or ""
    return web.json_response(
        [_render(request).user(name) for name in sorted(_state(request).users) if wanted.casefold() in name.casefold()]
    )


async def _search(request: web.Request) -> web.Response:
    asked: Json = await request.json() if request.method == "POST" else dict(request.query)
    start, limit = int(asked.get("startAt", 0)), int(asked.get("maxResults", 50))
    try:
        found = _state(request).find(parse(asked.get("jql", "")))
    except RefusedError as error:
        return web.json_response({"errorMessages": list(error.errors.values()), "errors": {}}, status=400)
    issues = [_render(request).issue(issue) for issue in found[start : start + limit]]
    return web.json_response({"startAt": start, "maxResults": limit, "total": len(found), "issues": issues})


async def _create(request: web.Request) -> web.Response:
    issue = _state(request).create(_plain((await request.json())["fields"]), author=request[_ACCOUNT])
    return web.json_response(_render(request).reference(issue), status=201)


async def _read(request: web.Request) -> web.Response:
    expand = request.query.get("expand", "").split(",")
    return web.json_response(_render(request).issue(_issue(request), changelog="changelog" in expand))


async def _update(request: web.Request) -> web.Response:
    fields = _plain((await request.json()).get("fields", {}))
    _state(request).update(_issue(request), fields, author=request[_ACCOUNT])
    return web.Response(status=204)


async def _delete(request: web.Request) -> web.Response:
    _state(request).delete(_issue(request))
    return web.Response(status=204)


async def _assign(request: web.Request) -> web.Response:
    fields = {"assignee": (await request.json())["name"]}
    _state(request).update(_issue(request), fields, author=request[_ACCOUNT])
    return web.Response(status=204)


async def _transitions(request: web.Request) -> web.Response:
    steps = WORKFLOW[_issue(request).fields["status"]]
    return web.json_response({"expand": "transitions", "transitions": [_render(request).step(step) for step in steps]})


async def _move(request: web.Request) -> web.Response:
    step = str((await request.json())["transition"]["id"])
    _state(request).move(_issue(request), step, author=request[_ACCOUNT])
    return web.Response(status=204)


async def _watchers(request: web.Request) -> web.Response:
    names = _issue(request).watchers
    users = [_render(request).user(name) for name in names]
    return web.json_response({"watchCount": len(names), "isWatching": request[_ACCOUNT] in names, "watchers": users})


async def _watch(request: web.Request) -> web.Response:
    _state(request).watch(_issue(request), await request.json())
    return web.Response(status=204)


async def _comments(request: web.Request) -> web.Response:
    return web.json_response(_render(request).comments(_issue(request)))


async def _add_comment(request: web.Request) -> web.Response:
    issue = _issue(request)
    comment = _state(request).comment(issue, (await request.json())["body"], author=request[_ACCOUNT])
    return web.json_response(_render(request).comment(issue, comment), status=201)


async def _comment(request: web.Request) -> web.Response:
    issue = _issue(request)
    return web.json_response(_render(request).comment(issue, _one_comment(request, issue)))


async def _change_comment(request: web.Request) -> web.Response:
    issue = _issue(request)
    comment = _one_comment(request, issue)
    _state(request).rewrite(issue, comment, (await request.json())["body"])
    return web.json_response(_render(request).comment(issue, comment))


async def _delete_comment(request: web.Request) -> web.Response:
    issue = _issue(request)
    _state(request).erase(issue, _one_comment(request, issue))
    return web.Response(status=204)


async def _attach(request: web.Request) -> web.Response:
    if request.headers.get("X-Atlassian-Token") != "no-check":
        return web.Response(status=403, text="XSRF check failed")
    issue = _issue(request)
    attached: list[Json] = []
    for part in (await request.post()).getall("file", []):
        if isinstance(part, web.FileField):
            content = part.file.read()
            part.file.close()
            attached.append(_state(request).attach(issue, part.filename, content, author=request[_ACCOUNT]))
    if not attached:
        raise RefusedError(file="No files were attached.")
    return web.json_response([_render(request).attachment(attachment) for attachment in attached])


def _attached(request: web.Request) -> tuple[Json, bytes]:
    for issue in _state(request).issues.values():
        for attachment in issue.attachments:
            if attachment["id"] == request.match_info["id"]:
                return attachment, issue.contents[attachment["id"]]
    raise _missing("The attachment with id does not exist")


async def _attachment(request: web.Request) -> web.Response:
    return web.json_response(_render(request).attachment(_attached(request)[0]))


async def _download(request: web.Request) -> web.Response:
    return web.Response(body=_attached(request)[1], content_type="application/octet-stream")
