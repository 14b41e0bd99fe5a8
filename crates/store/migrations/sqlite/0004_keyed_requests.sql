-- Requests that came with an Idempotency-Key.

CREATE TABLE keyed_requests (
    id         TEXT     PRIMARY KEY,
    request    TEXT    NOT NULL,
    answer     BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX keyed_requests_expiry ON keyed_requests (expires_at);
