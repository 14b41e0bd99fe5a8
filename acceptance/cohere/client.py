"""PyPI cohere, driven by lines of JSON: {"key", "do", "with"} in; {"value"} or {"error"} out.

The version is the one that PYTHONPATH finds. Arguments: the base URL, and which client: Client, AsyncClient, ClientV2.
"""
import asyncio
import datetime
import inspect
import json
import sys

import cohere

base, kind = sys.argv[1:]
OLD = hasattr(cohere, "CohereAPIError")  # 4.x
clients = {}


def client(key):
    if key not in clients:
        make = getattr(cohere, kind)
        # Clients of 4.x ask whose the key is before anything else.
        clients[key] = make(key, api_url=base) if OLD else make(api_key=key, base_url=base)
    return clients[key]


def plain(value):
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    elif hasattr(value, "__fields__"):
        value = value.dict()
    elif OLD and hasattr(value, "__dict__"):
        # Its objects fill in what was not sent, and its times forget that they are UTC.
        value = {name: item for name, item in vars(value).items() if name[0] != "_" and item not in ("", [])}
    if isinstance(value, datetime.datetime):
        return value.isoformat() + ("Z" if value.tzinfo is None else "")
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def new(key, do, given):
    connectors = client(key).connectors
    given = dict(given)
    id = [given.pop("id")] if "id" in given else []
    if "oauth" in given:
        given["oauth"] = cohere.CreateConnectorOAuth(**given["oauth"])
    if "service_auth" in given:
        given["service_auth"] = cohere.CreateConnectorServiceAuth(**given["service_auth"])
    if do == "check":
        return client(key).check_api_key()
    return getattr(connectors, {"authorize": "o_auth_authorize"}.get(do, do))(*id, **given)


def old(key, do, given):
    given = dict(given)
    id = [given.pop("id")] if "id" in given else []
    if do == "check":
        return client(key).check_api_key()
    name = {"list": "list_connectors", "authorize": "oauth_authorize_connector"}.get(do, f"{do}_connector")
    return getattr(client(key), name)(*id, **given)


async def main():
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            value = (old if OLD else new)(asked["key"], asked["do"], asked["with"])
            if inspect.isawaitable(value):
                value = await value
            answer = {"value": plain(value)}
        except Exception as error:  # Whatever a caller would see.
            status = getattr(error, "status_code", None) or getattr(error, "http_status", None)
            body = getattr(error, "body", None) or {"message": getattr(error, "message", str(error))}
            answer = {"error": {"type": type(error).__name__, "status": status, "body": plain(body)}}
        print(json.dumps(answer, default=str), flush=True)


asyncio.run(main())
