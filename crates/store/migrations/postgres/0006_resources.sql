-- Consents that wait for their requester's confirmation, and installations.

ALTER TABLE authorizations ADD COLUMN confirm BIGINT NOT NULL DEFAULT 0;

CREATE INDEX authorizations_list ON authorizations (team, created_at, id);

-- The token set that a consent brought, and what else its connection will have.
CREATE TABLE held_consents (
    authorization_id  TEXT COLLATE "C" PRIMARY KEY,
    team              TEXT COLLATE "C" NOT NULL,
    connector         TEXT COLLATE "C" NOT NULL,
    code              TEXT COLLATE "C" NOT NULL,
    name              TEXT COLLATE "C",
    external_subject  TEXT COLLATE "C",
    replaces          BIGINT NOT NULL,
    set_id            TEXT COLLATE "C" NOT NULL,
    connection        TEXT COLLATE "C" NOT NULL,
    kind              TEXT COLLATE "C" NOT NULL,
    access            BYTEA NOT NULL,
    access_expires_at BIGINT,
    refresh           BYTEA,
    scope             TEXT COLLATE "C",
    metadata          TEXT COLLATE "C" NOT NULL,
    received_at       BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL
);

CREATE INDEX held_consents_expired ON held_consents (expires_at);

CREATE INDEX held_consents_connector ON held_consents (connector);

CREATE TABLE installations (
    id          TEXT COLLATE "C" PRIMARY KEY,
    team        TEXT COLLATE "C" NOT NULL,
    connector   TEXT COLLATE "C" NOT NULL,
    external_id TEXT COLLATE "C" NOT NULL,
    tenant      TEXT COLLATE "C",
    name        TEXT COLLATE "C",
    status      TEXT COLLATE "C" NOT NULL,
    created_by  TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE UNIQUE INDEX installations_external_id ON installations (connector, external_id);

CREATE INDEX installations_list ON installations (team, connector, created_at, id);
