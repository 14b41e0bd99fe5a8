-- What a team keeps beside its connectors.

CREATE TABLE secrets (
    id         TEXT    PRIMARY KEY,
    team       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    value      BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX secrets_name ON secrets (team, name);

CREATE INDEX secrets_list ON secrets (team, created_at, id);

CREATE TABLE invites (
    id          TEXT    PRIMARY KEY,
    team        TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    accepted_at INTEGER
) STRICT;

CREATE INDEX invites_list ON invites (team, created_at, id);

CREATE TABLE mcp_servers (
    id         TEXT    PRIMARY KEY,
    team       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    base_url   TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX mcp_servers_list ON mcp_servers (team, created_at, id);
