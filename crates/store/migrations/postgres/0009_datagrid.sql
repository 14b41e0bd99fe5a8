-- What Datagrid's API asks for beside the rows there are.

-- Every client secret is known by an id of its own.
ALTER TABLE connectors ADD COLUMN client_secret_id TEXT COLLATE "C";

ALTER TABLE connectors ADD COLUMN client_secret_at BIGINT;

UPDATE connectors SET client_secret_id = 'sec_' || id, client_secret_at = updated_at
WHERE kind = 'oauth' AND secrets IS NOT NULL;

CREATE INDEX connectors_client_secret ON connectors (team, client_secret_id) WHERE client_secret_id IS NOT NULL;

ALTER TABLE secrets ADD COLUMN label TEXT COLLATE "C";

ALTER TABLE secrets ADD COLUMN owner TEXT COLLATE "C";

ALTER TABLE mcp_servers ADD COLUMN data TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- What a dialect says of a row that there is no column for.
ALTER TABLE teams ADD COLUMN words TEXT COLLATE "C" NOT NULL DEFAULT '{}';

ALTER TABLE memberships ADD COLUMN words TEXT COLLATE "C" NOT NULL DEFAULT '{}';

ALTER TABLE invites ADD COLUMN words TEXT COLLATE "C" NOT NULL DEFAULT '{}';

ALTER TABLE authorizations ADD COLUMN embed TEXT COLLATE "C";

-- Where a row that is gone stood in its list by time, so that whoever deletes while turning pages goes on.
CREATE TABLE tombstones (
    id         TEXT COLLATE "C" NOT NULL,
    team       TEXT COLLATE "C" NOT NULL,
    place      BIGINT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (team, id)
);

CREATE INDEX tombstones_age ON tombstones (deleted_at);
