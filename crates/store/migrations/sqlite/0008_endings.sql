-- Deleted connectors that are not at their end yet.

CREATE TABLE endings (
    connector  TEXT PRIMARY KEY,
    team       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    not_before INTEGER NOT NULL
) STRICT;

CREATE INDEX endings_due ON endings (not_before);

CREATE INDEX revocations_connector ON revocations (connector);
