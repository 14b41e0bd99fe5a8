-- How connectors look and are listed, and by which of a service's ways they came to be.

ALTER TABLE connectors ADD COLUMN connection_method TEXT COLLATE "C";

ALTER TABLE connectors ADD COLUMN target TEXT COLLATE "C";

CREATE INDEX connectors_by_name ON connectors (team, name, id) WHERE deleted_at IS NULL;

CREATE INDEX connectors_by_update ON connectors (team, updated_at, id) WHERE deleted_at IS NULL;

CREATE INDEX connectors_icon ON connectors (team, icon) WHERE icon IS NOT NULL;

-- Images, by what they hold.
CREATE TABLE icons (
    digest     TEXT COLLATE "C" NOT NULL,
    team       TEXT COLLATE "C" NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    content    BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (team, digest)
);

CREATE INDEX icons_created_at ON icons (created_at);
