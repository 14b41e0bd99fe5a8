-- Signing in through a connector.

-- Where the answers to a project's sign-ins may go.
ALTER TABLE projects ADD COLUMN sign_in_uris TEXT NOT NULL DEFAULT '[]';

CREATE TABLE sign_ins (
    id               TEXT   PRIMARY KEY,
    team             TEXT   NOT NULL,
    connector        TEXT   NOT NULL,
    authorization_id TEXT   NOT NULL,
    asked            TEXT   NOT NULL,
    -- What the provider says of the person; null before they came back and after the end.
    identity         BYTEA,
    -- Whose session it is; null before the code was redeemed.
    project          TEXT,
    environment      TEXT,
    connection       TEXT,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    ended_at         BIGINT
);

CREATE UNIQUE INDEX sign_ins_authorization ON sign_ins (authorization_id);

CREATE INDEX sign_ins_team ON sign_ins (team);

CREATE INDEX sign_ins_expires_at ON sign_ins (expires_at);

-- Codes and refresh tokens, by their hashes. A used one stays, so that it is known when it comes again.
CREATE TABLE sign_in_grants (
    hash       TEXT   PRIMARY KEY,
    sign_in    TEXT   NOT NULL,
    team       TEXT   NOT NULL,
    refresh    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);

CREATE INDEX sign_in_grants_team ON sign_in_grants (team);

CREATE INDEX sign_in_grants_expires_at ON sign_in_grants (expires_at);

-- An application names its connector by uid, and need not name a team.
CREATE INDEX connectors_called ON connectors (uid) WHERE deleted_at IS NULL;
