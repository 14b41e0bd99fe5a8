-- The twin of the SQLite file: same tables, same columns, same names. Text is compared byte by byte (`COLLATE "C"`), as
-- SQLite does, so that lists have one order everywhere.
--
-- Ids are text, instants are microseconds since 1970, digests are hex, lists and maps are JSON, sealed values are bytes.
--
-- There are no foreign keys: whoever writes a reference checks it in the same transaction by a named
-- expectation, which says what is missing; a violated foreign key would not.

CREATE TABLE key_check (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    sealed BYTEA NOT NULL
);

CREATE TABLE data_keys (
    id         TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE INDEX data_keys_team ON data_keys (team);

CREATE UNIQUE INDEX data_keys_active ON data_keys (team) WHERE status = 'active';

CREATE TABLE signing_keys (
    kid        TEXT COLLATE "C" PRIMARY KEY,
    status     TEXT COLLATE "C" NOT NULL,
    public_jwk TEXT COLLATE "C" NOT NULL,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX signing_keys_active ON signing_keys (status) WHERE status = 'active';

-- Never re-uses a position, also when the newest rows are gone.
CREATE TABLE changes (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    key  TEXT COLLATE "C" NOT NULL,
    at  BIGINT NOT NULL
);

CREATE INDEX changes_at ON changes (at);

CREATE TABLE events (
    id         TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C",
    at BIGINT NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    actor      TEXT COLLATE "C" NOT NULL,
    connector  TEXT COLLATE "C",
    connection TEXT COLLATE "C",
    data       TEXT COLLATE "C" NOT NULL,
    -- Written by the sealer, in batches; null until then.
    chain_pos  BIGINT,
    chain_hash BYTEA
);

CREATE INDEX events_team ON events (team, at, id);

CREATE INDEX events_kind ON events (team, kind, at, id);

CREATE INDEX events_connector ON events (team, connector, at, id) WHERE connector IS NOT NULL;

CREATE INDEX events_connection ON events (team, connection, at, id) WHERE connection IS NOT NULL;

CREATE UNIQUE INDEX events_chain_pos ON events (chain_pos) WHERE chain_pos IS NOT NULL;

CREATE TABLE accounts (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE teams (
    id             TEXT COLLATE "C" PRIMARY KEY,
    account        TEXT COLLATE "C" NOT NULL,
    slug           TEXT COLLATE "C" NOT NULL,
    name           TEXT COLLATE "C" NOT NULL,
    return_origins TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX teams_slug ON teams (slug);

CREATE INDEX teams_account ON teams (account, id);

CREATE TABLE users (
    id         TEXT COLLATE "C" PRIMARY KEY,
    account    TEXT COLLATE "C" NOT NULL,
    email      TEXT COLLATE "C" NOT NULL,
    first_name TEXT COLLATE "C" NOT NULL,
    last_name  TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX users_email ON users (account, email);

CREATE TABLE memberships (
    user_id TEXT COLLATE "C" NOT NULL,
    team    TEXT COLLATE "C" NOT NULL,
    role    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, team)
);

CREATE TABLE projects (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    team                TEXT COLLATE "C" NOT NULL,
    name                TEXT COLLATE "C" NOT NULL,
    custom_environments TEXT COLLATE "C" NOT NULL,
    base_urls           TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX projects_name ON projects (team, name);

CREATE TABLE keys (
    id          TEXT COLLATE "C" PRIMARY KEY,
    hash        TEXT COLLATE "C" NOT NULL,
    hint        TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    level       TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C",
    team        TEXT COLLATE "C",
    user_id     TEXT COLLATE "C",
    project     TEXT COLLATE "C",
    environment TEXT COLLATE "C",
    role        TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

CREATE UNIQUE INDEX keys_hash ON keys (hash);

CREATE INDEX keys_team ON keys (team, created_at, id) WHERE team IS NOT NULL;

CREATE INDEX keys_above_teams ON keys (level, account, created_at, id) WHERE team IS NULL;

CREATE TABLE services (
    id   TEXT COLLATE "C" PRIMARY KEY,
    data TEXT COLLATE "C" NOT NULL
);

CREATE TABLE connectors (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    team                 TEXT COLLATE "C" NOT NULL,
    uid                  TEXT COLLATE "C" NOT NULL,
    name                 TEXT COLLATE "C" NOT NULL,
    kind                 TEXT COLLATE "C" NOT NULL,
    service              TEXT COLLATE "C" NOT NULL,
    data                 TEXT COLLATE "C" NOT NULL,
    secrets          BYTEA,
    metadata             TEXT COLLATE "C" NOT NULL,
    redirect_uri         TEXT COLLATE "C" NOT NULL,
    default_installation TEXT COLLATE "C",
    triggers_enabled BIGINT NOT NULL,
    events               TEXT COLLATE "C" NOT NULL,
    trigger_destinations TEXT COLLATE "C" NOT NULL,
    icon                 TEXT COLLATE "C",
    background_color     TEXT COLLATE "C",
    accent_color         TEXT COLLATE "C",
    fault_code           TEXT COLLATE "C",
    fault_count      BIGINT,
    fault_at         BIGINT,
    fault_not_before BIGINT,
    created_by           TEXT COLLATE "C" NOT NULL,
    updated_by           TEXT COLLATE "C" NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    deleted_at       BIGINT,
    -- Name, uid and service in lower case, so that a search means the same in every database.
    search               TEXT COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX connectors_uid ON connectors (team, uid) WHERE deleted_at IS NULL;

CREATE INDEX connectors_list ON connectors (team, created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE links (
    connector    TEXT COLLATE "C" NOT NULL,
    project      TEXT COLLATE "C" NOT NULL,
    team         TEXT COLLATE "C" NOT NULL,
    environments TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (connector, project)
);

CREATE INDEX links_project ON links (project, connector);

CREATE TABLE authorizations (
    id                TEXT COLLATE "C" PRIMARY KEY,
    team              TEXT COLLATE "C" NOT NULL,
    connector         TEXT COLLATE "C" NOT NULL,
    subject_type      TEXT COLLATE "C" NOT NULL,
    subject_id        TEXT COLLATE "C" NOT NULL,
    subject_issuer    TEXT COLLATE "C",
    environment       TEXT COLLATE "C" NOT NULL,
    installation      TEXT COLLATE "C",
    scopes            TEXT COLLATE "C" NOT NULL,
    audience          TEXT COLLATE "C" NOT NULL,
    resources         TEXT COLLATE "C" NOT NULL,
    details           TEXT COLLATE "C" NOT NULL,
    requested_by      TEXT COLLATE "C" NOT NULL,
    requester         TEXT COLLATE "C" NOT NULL,
    verifier          TEXT COLLATE "C" NOT NULL,
    device_code       TEXT COLLATE "C",
    return_url        TEXT COLLATE "C",
    prompt            TEXT COLLATE "C",
    additional_params TEXT COLLATE "C" NOT NULL,
    state             TEXT COLLATE "C" NOT NULL,
    -- The connection of a success, the code of an error.
    state_detail      TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- From when on nothing changes it: `expires_at`, or when it ended.
    over_at    BIGINT NOT NULL
);

CREATE UNIQUE INDEX authorizations_verifier ON authorizations (verifier);

CREATE INDEX authorizations_pending ON authorizations (connector) WHERE state = 'pending';

CREATE INDEX authorizations_over_at ON authorizations (over_at);

CREATE TABLE flows (
    state            TEXT COLLATE "C" PRIMARY KEY,
    team             TEXT COLLATE "C" NOT NULL,
    authorization_id TEXT COLLATE "C" NOT NULL,
    browser          TEXT COLLATE "C" NOT NULL,
    verifier   BYTEA NOT NULL,
    server           TEXT COLLATE "C" NOT NULL,
    redirect_uri     TEXT COLLATE "C" NOT NULL,
    replaces   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    -- From when on nothing changes it: `expires_at`, or when it was used.
    over_at    BIGINT NOT NULL
);

CREATE INDEX flows_over_at ON flows (over_at);

CREATE TABLE connections (
    id               TEXT COLLATE "C" PRIMARY KEY,
    team             TEXT COLLATE "C" NOT NULL,
    connector        TEXT COLLATE "C" NOT NULL,
    subject_type     TEXT COLLATE "C" NOT NULL,
    subject_id       TEXT COLLATE "C" NOT NULL,
    subject_issuer   TEXT COLLATE "C",
    environment      TEXT COLLATE "C" NOT NULL,
    installation     TEXT COLLATE "C",
    scopes           TEXT COLLATE "C" NOT NULL,
    audience         TEXT COLLATE "C" NOT NULL,
    resources        TEXT COLLATE "C" NOT NULL,
    details          TEXT COLLATE "C" NOT NULL,
    -- The canonical text of all that is between `connector` and here.
    grant_key        TEXT COLLATE "C" NOT NULL,
    state            TEXT COLLATE "C" NOT NULL,
    state_reason     TEXT COLLATE "C",
    name             TEXT COLLATE "C",
    external_subject TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX connections_grant ON connections (team, connector, grant_key) WHERE state <> 'revoked';

CREATE INDEX connections_list ON connections (team, created_at, id);

CREATE INDEX connections_connector ON connections (team, connector, created_at, id);

CREATE INDEX connections_subject ON connections (team, subject_type, subject_id, connector);

CREATE TABLE token_sets (
    set_id            TEXT COLLATE "C" PRIMARY KEY,
    team              TEXT COLLATE "C" NOT NULL,
    connection        TEXT COLLATE "C" NOT NULL,
    kind              TEXT COLLATE "C" NOT NULL,
    access            BYTEA NOT NULL,
    access_expires_at BIGINT,
    refresh           BYTEA,
    scope             TEXT COLLATE "C",
    metadata          TEXT COLLATE "C" NOT NULL,
    received_at       BIGINT NOT NULL,
    failures          BIGINT NOT NULL,
    not_before        BIGINT NOT NULL,
    -- Who is refreshing it, until when by the database's clock. It goes with the set.
    lease_node        TEXT COLLATE "C",
    lease_until       BIGINT
);

CREATE UNIQUE INDEX token_sets_kind ON token_sets (connection, kind);

CREATE INDEX token_sets_idle ON token_sets (received_at) WHERE refresh IS NOT NULL;

CREATE TABLE refresh_attempts (
    set_id  TEXT COLLATE "C" NOT NULL,
    number  BIGINT NOT NULL,
    node    TEXT COLLATE "C" NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (set_id, number)
);

CREATE TABLE revocations (
    set_id     TEXT COLLATE "C" PRIMARY KEY,
    team       TEXT COLLATE "C" NOT NULL,
    connector  TEXT COLLATE "C" NOT NULL,
    connection TEXT COLLATE "C" NOT NULL,
    access     BYTEA NOT NULL,
    refresh    BYTEA,
    tries      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL
);

CREATE INDEX revocations_due ON revocations (not_before);
