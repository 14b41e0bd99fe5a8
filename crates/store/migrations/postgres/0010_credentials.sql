-- What Sequin's dialect keeps beside connections and consents.

CREATE TABLE credentials (
    connection TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    -- Without secrets: those are the connection's token set.
    properties TEXT COLLATE "C" NOT NULL,
    metadata   TEXT COLLATE "C" NOT NULL,
    -- Sealed hash of what was taken in last.
    imported   BYTEA,
    updated_at BIGINT NOT NULL
);

CREATE INDEX credentials_team ON credentials (team);

CREATE TABLE link_flows (
    authorization_id TEXT COLLATE "C" PRIMARY KEY,
    team             TEXT COLLATE "C" NOT NULL,
    kind             TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    started_at       BIGINT,
    expires_at       BIGINT NOT NULL
);

CREATE INDEX link_flows_team ON link_flows (team);

CREATE INDEX link_flows_expires_at ON link_flows (expires_at);

CREATE INDEX held_consents_code ON held_consents (code);
