-- Deleted connectors that are not at their end yet.

CREATE TABLE endings (
    connector  TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    at         BIGINT NOT NULL,
    not_before BIGINT NOT NULL
);

CREATE INDEX endings_due ON endings (not_before);

CREATE INDEX revocations_connector ON revocations (connector);
