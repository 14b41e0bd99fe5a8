-- How connectors look and are listed, and by which of a service's ways they came to be.

ALTER TABLE connectors ADD COLUMN connection_method TEXT;

ALTER TABLE connectors ADD COLUMN target TEXT;

CREATE INDEX connectors_by_name ON connectors (team, name, id) WHERE deleted_at IS NULL;

CREATE INDEX connectors_by_update ON connectors (team, updated_at, id) WHERE deleted_at IS NULL;

CREATE INDEX connectors_icon ON connectors (team, icon) WHERE icon IS NOT NULL;

-- Images, by what they hold.
CREATE TABLE icons (
    digest     TEXT NOT NULL,
    team       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content    BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team, digest)
) STRICT;

CREATE INDEX icons_created_at ON icons (created_at);
