-- Requests that came with an Idempotency-Key.

CREATE TABLE keyed_requests (
    id         TEXT COLLATE "C" PRIMARY KEY,
    request    TEXT COLLATE "C" NOT NULL,
    answer     BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE INDEX keyed_requests_expiry ON keyed_requests (expires_at);
