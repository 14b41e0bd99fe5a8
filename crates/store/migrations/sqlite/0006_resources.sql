-- Consents that wait for their requester's confirmation, and installations.

ALTER TABLE authorizations ADD COLUMN confirm INTEGER NOT NULL DEFAULT 0;

CREATE INDEX authorizations_list ON authorizations (team, created_at, id);

-- The token set that a consent brought, and what else its connection will have.
CREATE TABLE held_consents (
    authorization_id  TEXT    PRIMARY KEY,
    team              TEXT    NOT NULL,
    connector         TEXT    NOT NULL,
    code              TEXT    NOT NULL,
    name              TEXT,
    external_subject  TEXT,
    replaces          INTEGER NOT NULL,
    set_id            TEXT    NOT NULL,
    connection        TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    access            BLOB    NOT NULL,
    access_expires_at INTEGER,
    refresh           BLOB,
    scope             TEXT,
    metadata          TEXT    NOT NULL,
    received_at       INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL
) STRICT;

CREATE INDEX held_consents_expired ON held_consents (expires_at);

CREATE INDEX held_consents_connector ON held_consents (connector);

CREATE TABLE installations (
    id          TEXT    PRIMARY KEY,
    team        TEXT    NOT NULL,
    connector   TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    tenant      TEXT,
    name        TEXT,
    status      TEXT    NOT NULL,
    created_by  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX installations_external_id ON installations (connector, external_id);

CREATE INDEX installations_list ON installations (team, connector, created_at, id);
