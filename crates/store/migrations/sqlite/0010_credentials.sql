-- What Sequin's dialect keeps beside connections and consents.

CREATE TABLE credentials (
    connection TEXT    PRIMARY KEY,
    team       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    -- Without secrets: those are the connection's token set.
    properties TEXT    NOT NULL,
    metadata   TEXT    NOT NULL,
    -- Sealed hash of what was taken in last.
    imported   BLOB,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX credentials_team ON credentials (team);

CREATE TABLE link_flows (
    authorization_id TEXT    PRIMARY KEY,
    team             TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    started_at       INTEGER,
    expires_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX link_flows_team ON link_flows (team);

CREATE INDEX link_flows_expires_at ON link_flows (expires_at);

CREATE INDEX held_consents_code ON held_consents (code);
