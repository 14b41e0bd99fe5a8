-- Ids are text, instants are microseconds since 1970, digests are hex, lists and maps are JSON, sealed values are bytes.
--
-- There are no foreign keys: whoever writes a reference checks it in the same transaction by a named
-- expectation, which says what is missing; a violated foreign key would not.

CREATE TABLE key_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BLOB    NOT NULL
) STRICT;

CREATE TABLE data_keys (
    id         TEXT    PRIMARY KEY,
    team       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX data_keys_team ON data_keys (team);

CREATE UNIQUE INDEX data_keys_active ON data_keys (team) WHERE status = 'active';

CREATE TABLE signing_keys (
    kid        TEXT    PRIMARY KEY,
    status     TEXT    NOT NULL,
    public_jwk TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX signing_keys_active ON signing_keys (status) WHERE status = 'active';

-- Never re-uses a position, also when the newest rows are gone.
CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT    NOT NULL,
    key  TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT;

CREATE INDEX changes_at ON changes (at);

CREATE TABLE events (
    id         TEXT    PRIMARY KEY,
    team       TEXT,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    connector  TEXT,
    connection TEXT,
    data       TEXT    NOT NULL,
    -- Written by the sealer, in batches; null until then.
    chain_pos  INTEGER,
    chain_hash BLOB
) STRICT;

CREATE INDEX events_team ON events (team, at, id);

CREATE INDEX events_kind ON events (team, kind, at, id);

CREATE INDEX events_connector ON events (team, connector, at, id) WHERE connector IS NOT NULL;

CREATE INDEX events_connection ON events (team, connection, at, id) WHERE connection IS NOT NULL;

CREATE UNIQUE INDEX events_chain_pos ON events (chain_pos) WHERE chain_pos IS NOT NULL;

CREATE TABLE accounts (
    id         TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE teams (
    id             TEXT    PRIMARY KEY,
    account        TEXT    NOT NULL,
    slug           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    return_origins TEXT    NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX teams_slug ON teams (slug);

CREATE INDEX teams_account ON teams (account, id);

CREATE TABLE users (
    id         TEXT    PRIMARY KEY,
    account    TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    first_name TEXT    NOT NULL,
    last_name  TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX users_email ON users (account, email);

CREATE TABLE memberships (
    user_id TEXT NOT NULL,
    team    TEXT NOT NULL,
    role    TEXT NOT NULL,
    PRIMARY KEY (user_id, team)
) STRICT;

CREATE TABLE projects (
    id                  TEXT    PRIMARY KEY,
    team                TEXT    NOT NULL,
    name                TEXT    NOT NULL,
    custom_environments TEXT    NOT NULL,
    base_urls           TEXT    NOT NULL,
    created_at          INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX projects_name ON projects (team, name);

CREATE TABLE keys (
    id          TEXT    PRIMARY KEY,
    hash        TEXT    NOT NULL,
    hint        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    level       TEXT    NOT NULL,
    account     TEXT,
    team        TEXT,
    user_id     TEXT,
    project     TEXT,
    environment TEXT,
    role        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

CREATE UNIQUE INDEX keys_hash ON keys (hash);

CREATE INDEX keys_team ON keys (team, created_at, id) WHERE team IS NOT NULL;

CREATE INDEX keys_above_teams ON keys (level, account, created_at, id) WHERE team IS NULL;

CREATE TABLE services (
    id   TEXT PRIMARY KEY,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE connectors (
    id                   TEXT    PRIMARY KEY,
    team                 TEXT    NOT NULL,
    uid                  TEXT    NOT NULL,
    name                 TEXT    NOT NULL,
    kind                 TEXT    NOT NULL,
    service              TEXT    NOT NULL,
    data                 TEXT    NOT NULL,
    secrets              BLOB,
    metadata             TEXT    NOT NULL,
    redirect_uri         TEXT    NOT NULL,
    default_installation TEXT,
    triggers_enabled     INTEGER NOT NULL,
    events               TEXT    NOT NULL,
    trigger_destinations TEXT    NOT NULL,
    icon                 TEXT,
    background_color     TEXT,
    accent_color         TEXT,
    fault_code           TEXT,
    fault_count          INTEGER,
    fault_at             INTEGER,
    fault_not_before     INTEGER,
    created_by           TEXT    NOT NULL,
    updated_by           TEXT    NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    deleted_at           INTEGER,
    -- Name, uid and service in lower case, so that a search means the same in every database.
    search               TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX connectors_uid ON connectors (team, uid) WHERE deleted_at IS NULL;

CREATE INDEX connectors_list ON connectors (team, created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE links (
    connector    TEXT    NOT NULL,
    project      TEXT    NOT NULL,
    team         TEXT    NOT NULL,
    environments TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (connector, project)
) STRICT;

CREATE INDEX links_project ON links (project, connector);

CREATE TABLE authorizations (
    id                TEXT    PRIMARY KEY,
    team              TEXT    NOT NULL,
    connector         TEXT    NOT NULL,
    subject_type      TEXT    NOT NULL,
    subject_id        TEXT    NOT NULL,
    subject_issuer    TEXT,
    environment       TEXT    NOT NULL,
    installation      TEXT,
    scopes            TEXT    NOT NULL,
    audience          TEXT    NOT NULL,
    resources         TEXT    NOT NULL,
    details           TEXT    NOT NULL,
    requested_by      TEXT    NOT NULL,
    requester         TEXT    NOT NULL,
    verifier          TEXT    NOT NULL,
    device_code       TEXT,
    return_url        TEXT,
    prompt            TEXT,
    additional_params TEXT    NOT NULL,
    state             TEXT    NOT NULL,
    -- The connection of a success, the code of an error.
    state_detail      TEXT,
    created_at        INTEGER NOT NULL,
    expires_at        INTEGER NOT NULL,
    -- From when on nothing changes it: `expires_at`, or when it ended.
    over_at           INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX authorizations_verifier ON authorizations (verifier);

CREATE INDEX authorizations_pending ON authorizations (connector) WHERE state = 'pending';

CREATE INDEX authorizations_over_at ON authorizations (over_at);

CREATE TABLE flows (
    state            TEXT    PRIMARY KEY,
    team             TEXT    NOT NULL,
    authorization_id TEXT    NOT NULL,
    browser          TEXT    NOT NULL,
    verifier         BLOB    NOT NULL,
    server           TEXT    NOT NULL,
    redirect_uri     TEXT    NOT NULL,
    replaces         INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    used_at          INTEGER,
    -- From when on nothing changes it: `expires_at`, or when it was used.
    over_at          INTEGER NOT NULL
) STRICT;

CREATE INDEX flows_over_at ON flows (over_at);

CREATE TABLE connections (
    id               TEXT    PRIMARY KEY,
    team             TEXT    NOT NULL,
    connector        TEXT    NOT NULL,
    subject_type     TEXT    NOT NULL,
    subject_id       TEXT    NOT NULL,
    subject_issuer   TEXT,
    environment      TEXT    NOT NULL,
    installation     TEXT,
    scopes           TEXT    NOT NULL,
    audience         TEXT    NOT NULL,
    resources        TEXT    NOT NULL,
    details          TEXT    NOT NULL,
    -- The canonical text of all that is between `connector` and here.
    grant_key        TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    state_reason     TEXT,
    name             TEXT,
    external_subject TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX connections_grant ON connections (team, connector, grant_key) WHERE state <> 'revoked';

CREATE INDEX connections_list ON connections (team, created_at, id);

CREATE INDEX connections_connector ON connections (team, connector, created_at, id);

CREATE INDEX connections_subject ON connections (team, subject_type, subject_id, connector);

CREATE TABLE token_sets (
    set_id            TEXT    PRIMARY KEY,
    team              TEXT    NOT NULL,
    connection        TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    access            BLOB    NOT NULL,
    access_expires_at INTEGER,
    refresh           BLOB,
    scope             TEXT,
    metadata          TEXT    NOT NULL,
    received_at       INTEGER NOT NULL,
    failures          INTEGER NOT NULL,
    not_before        INTEGER NOT NULL,
    -- Who is refreshing it, until when by the database's clock. It goes with the set.
    lease_node        TEXT,
    lease_until       INTEGER
) STRICT;

CREATE UNIQUE INDEX token_sets_kind ON token_sets (connection, kind);

CREATE INDEX token_sets_idle ON token_sets (received_at) WHERE refresh IS NOT NULL;

CREATE TABLE refresh_attempts (
    set_id  TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    node    TEXT    NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (set_id, number)
) STRICT;

CREATE TABLE revocations (
    set_id     TEXT    PRIMARY KEY,
    team       TEXT    NOT NULL,
    connector  TEXT    NOT NULL,
    connection TEXT    NOT NULL,
    access     BLOB    NOT NULL,
    refresh    BLOB,
    tries      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_due ON revocations (not_before);
