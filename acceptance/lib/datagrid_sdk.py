"""PyPI datagrid-ai, unmodified and validating strictly: every method of what this server serves, sync and async.

usage: datagrid_sdk.py BASE_URL KEY CONNECTOR CONNECTION DOOMED DOOMED
"""

import asyncio
import inspect
import sys

import datagrid_ai
from datagrid_ai import AsyncDatagrid, Datagrid

BASE_URL, KEY, CONNECTOR, CONNECTION, *DOOMED = sys.argv[1:]
calls = 0


async def ask(call):
    """The answer of either client's call."""
    global calls
    calls += 1
    return await call if inspect.isawaitable(call) else call


async def every(call):
    """All rows of a list, by the SDK's own pager."""
    global calls
    calls += 1
    if hasattr(call, "__aiter__"):
        return [row async for row in call]
    return list(call)


async def refused(kind, call):
    try:
        await ask(call())
    except kind as error:
        body = error.body
        assert body["status_code"] == error.status_code and isinstance(body["message"], str), body
        return body["error"]
    raise AssertionError(f"not refused with {kind.__name__}")


async def providers(client):
    made = await ask(client.connection_providers.create(
        client_id="client_id", client_secret="client_secret", connector_id=CONNECTOR, name="name"))
    assert (made.object, made.name, made.connector_id, made.client_id) == (
        "connection_provider", "name", CONNECTOR, "client_id"), made
    assert await ask(client.connection_providers.retrieve(made.id)) == made
    assert await ask(client.connection_providers.update(made.id)) == made
    changed = await ask(client.connection_providers.update(
        made.id, name="other", client_id="second", client_secret="second"))
    assert (changed.name, changed.client_id) == ("other", "second")
    assert changed.client_secret_id != made.client_secret_id
    rows = await every(client.connection_providers.list(connector_id=CONNECTOR, limit=1))
    assert made.id in [row.id for row in rows]
    page = await ask(client.connection_providers.list(
        after="after", before="before", connector_id=CONNECTOR, limit=1))
    assert page.data == []
    kept = await ask(client.secrets.retrieve(changed.client_secret_id))
    assert kept.object == "secret"
    assert await refused(datagrid_ai.ConflictError, lambda: client.secrets.delete(kept.id)) == "conflict"
    assert await ask(client.connection_providers.delete(made.id)) is None
    gone = lambda: client.connection_providers.retrieve(made.id)
    assert await refused(datagrid_ai.NotFoundError, gone) == "resource_not_found"
    odd = lambda: client.connection_providers.retrieve("a/b c")
    assert await refused(datagrid_ai.NotFoundError, odd) == "resource_not_found"


async def connections(client):
    link = await ask(client.connections.create(connector_id=CONNECTOR, connection_provider_id=None))
    assert link.object == "redirect_url" and link.redirect_url.startswith("http"), link
    one = await ask(client.connections.retrieve(CONNECTION))
    assert (one.object, one.connector_id, one.valid, one.teamspace_id) == ("connection", CONNECTOR, True, "team_1"), one
    named = await ask(client.connections.update(CONNECTION, name="name"))
    assert named.name == "name" and named.created_at == one.created_at
    rows = await every(client.connections.list(connector_id=CONNECTOR, limit=1))
    assert CONNECTION in [row.id for row in rows]
    again = await ask(client.knowledge.connect(connection_id=CONNECTION))
    assert again.object == "redirect_url"
    doomed = DOOMED.pop()
    assert doomed in [row.id for row in await every(client.connections.list(limit=2))]
    assert await ask(client.connections.delete(doomed)) is None
    assert doomed not in [row.id for row in await every(client.connections.list(limit=2))]
    assert await refused(datagrid_ai.NotFoundError, lambda: client.connections.retrieve(doomed)) == "resource_not_found"
    gone = lambda: client.connections.delete("connection_id")
    assert await refused(datagrid_ai.NotFoundError, gone) == "resource_not_found"


async def secrets(client):
    made = await ask(client.secrets.create(name="name", value="value"))
    twin = await ask(client.secrets.create(name="name", value="value"))
    assert made.name == twin.name == "name" and made.id != twin.id
    assert await ask(client.secrets.retrieve(made.id)) == made
    rows = await every(client.secrets.list(limit=1))
    assert {made.id, twin.id} <= {row.id for row in rows}
    back = await ask(client.secrets.list(before=made.id, limit=1))
    assert [row.id for row in back.data] == [twin.id]
    for secret in (made, twin):
        assert await ask(client.secrets.delete(secret.id)) is None
    assert await refused(datagrid_ai.NotFoundError, lambda: client.secrets.retrieve(made.id)) == "resource_not_found"
    wrong = lambda: client.secrets.create(name="x" * 301, value="value")
    assert await refused(datagrid_ai.BadRequestError, wrong) == "validation_failed"


async def catalogue(client):
    rows = await every(client.connectors.list(limit=100))
    known = next(row for row in rows if row.id == CONNECTOR)
    assert known.oauth_app_settings.redirect_uri.endswith("/callback"), known
    who = await ask(client.identity.retrieve())
    assert who.current_teamspace_id == "team_1", who
    assert {"team_1", "team_2"} <= {seat.teamspace_id for seat in who.teamspaces}
    report = await ask(client.organization.credits.get())
    assert report.total == report.remaining + report.consumed
    other = client.with_options(teamspace="team_2")
    assert (await ask(other.identity.retrieve())).current_teamspace_id == "team_2"
    foreign = client.with_options(teamspace="team_none")
    assert await refused(datagrid_ai.NotFoundError, foreign.identity.retrieve) == "resource_not_found"


async def teamspaces(client):
    spaces = client.organization.teamspaces
    made = await ask(spaces.create(access="open", name="name", cloud_provider="aws"))
    assert (made.access, made.name, made.cloud_provider) == ("open", "name", "aws")
    assert await ask(spaces.retrieve(made.id)) == made
    assert (await ask(spaces.patch(made.id, access="closed", name="other"))).name == "other"
    assert made.id in [row.id for row in await every(spaces.list(limit=2))]
    permissions = {"role": "admin", "agent_ids": ["string"]}
    invite = await ask(spaces.invites.create(made.id, email="dev@stainless.com", permissions=permissions))
    assert (invite.status, invite.permissions.role, invite.permissions.agent_ids) == ("pending", "admin", ["string"])
    assert await ask(spaces.invites.retrieve(invite.id, teamspace_id=made.id)) == invite
    assert [row.id for row in await every(spaces.invites.list(made.id))] == [invite.id]
    assert await ask(spaces.invites.delete(invite.id, teamspace_id=made.id)) is None
    at_once = await ask(spaces.invites.create(made.id, email="eve@example.com"))
    assert at_once.status == "accepted" and at_once.accepted_at is not None
    assert [row.id for row in await every(spaces.users.list(made.id, search="eve"))] == ["usr_eve"]
    eve = await ask(spaces.users.update("usr_eve", teamspace_id=made.id, role="agent-specific", agent_ids=["string"]))
    assert (eve.permissions.role, eve.permissions.agent_ids) == ("agent-specific", ["string"])
    assert await ask(spaces.users.retrieve("usr_eve", teamspace_id=made.id)) == eve
    assert await ask(spaces.users.delete("usr_eve", teamspace_id=made.id)) is None
    people = client.organization.users
    assert "usr_bob" in [row.id for row in await every(people.list(limit=1))]
    assert (await ask(people.update("usr_bob", role="member"))).permissions.role == "member"
    assert (await ask(people.retrieve("usr_bob"))).email == "bob@example.com"


async def mcp_servers(client):
    servers = client.organization.mcp_servers
    made = await ask(servers.create(
        base_url="https://example.com", name="name", authorization="authorization",
        authorization_secret_id="authorization_secret_id", icon_url="icon_url",
        protocol_version="protocol_version", transport="http"))
    assert (made.name, made.base_url, made.icon_url) == ("name", "https://example.com", "icon_url")
    assert made.authorization_secret_id and made.authorization_secret_id != "authorization_secret_id"
    assert await ask(servers.retrieve(made.id)) == made
    assert (await ask(servers.update(made.id, icon_url=None))).icon_url is None
    assert made.id in [row.id for row in (await ask(servers.list())).data]
    assert await ask(servers.delete(made.id)) is None
    assert await refused(datagrid_ai.NotFoundError, lambda: servers.delete(made.id)) == "resource_not_found"


async def walk(kind):
    global calls
    calls = 0
    client = kind(api_key=KEY, base_url=BASE_URL, _strict_response_validation=True)
    for part in (providers, connections, secrets, catalogue, teamspaces, mcp_servers):
        await part(client)
    nobody = kind(api_key="nobody", base_url=BASE_URL, _strict_response_validation=True)
    assert await refused(datagrid_ai.AuthenticationError, nobody.identity.retrieve) == "no_authentication"
    return calls


print(f"sync: {asyncio.run(walk(Datagrid))} calls")
print(f"async: {asyncio.run(walk(AsyncDatagrid))} calls")
