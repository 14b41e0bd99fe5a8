-- Connectors that somebody asked for and a person has yet to register at their service.

CREATE TABLE setups (
    -- The link, and all that it takes to use it.
    id           TEXT PRIMARY KEY,
    team         TEXT NOT NULL,
    -- The id that the connector will have.
    connector    TEXT NOT NULL,
    -- Hash of the requester's verifier, where it sent one.
    code         TEXT,
    ask          TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    -- Hash of the credential that asked.
    credential   TEXT NOT NULL,
    requester    TEXT NOT NULL,
    state        TEXT NOT NULL,
    -- The authorization that installs the application.
    install      TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

CREATE UNIQUE INDEX setups_code ON setups (code) WHERE code IS NOT NULL;

CREATE INDEX setups_team ON setups (team, expires_at);

CREATE INDEX setups_over ON setups (expires_at);
