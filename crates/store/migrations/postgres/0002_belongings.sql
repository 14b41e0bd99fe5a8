-- What a team keeps beside its connectors.

CREATE TABLE secrets (
    id         TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    value      BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX secrets_name ON secrets (team, name);

CREATE INDEX secrets_list ON secrets (team, created_at, id);

CREATE TABLE invites (
    id          TEXT COLLATE "C" PRIMARY KEY,
    team        TEXT COLLATE "C" NOT NULL,
    email       TEXT COLLATE "C" NOT NULL,
    role        TEXT COLLATE "C" NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    accepted_at BIGINT
);

CREATE INDEX invites_list ON invites (team, created_at, id);

CREATE TABLE mcp_servers (
    id         TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    base_url   TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX mcp_servers_list ON mcp_servers (team, created_at, id);
