"""Every case that schemathesis makes of the served document, sent with the key of every role.

A pytest file, run by ../schemathesis.test.mjs: GRANTRY_URL is the server, GRANTRY_KEYS a JSON object of keys by role,
SECONDS how long cases are sent; after that, one of each operation. Cases depend on nothing but the document and pytest's --hypothesis-seed.
"""

import json
import os
import time

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

# What a schema cannot say (a connector that exists, fields that need one another) is refused rightly, so that
# valid cases are refused is no failure.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
KEYS = json.loads(os.environ["GRANTRY_KEYS"])
SENT = set()
END = time.monotonic() + float(os.environ["SECONDS"])


@schemathesis.serializer("application/toml")
def toml(_context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


schema = schemathesis.openapi.from_url(os.environ["GRANTRY_URL"] + "/api/v1/openapi.json")


@schema.parametrize()
@hypothesis.settings(
    max_examples=int(os.environ["EXAMPLES"]),
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_role(case):
    if time.monotonic() > END and case.operation.label in SENT:
        return
    SENT.add(case.operation.label)
    for role, key in KEYS.items():
        # In the case itself: whether it is wrong is judged with the key that is sent, not with what was made in its place.
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {key}", "X-Role": role}
        case.call_and_validate(checks=CHECKS)
