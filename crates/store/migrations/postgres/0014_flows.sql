-- What the flows of Vercel's dialect keep.

-- When the first of a connector's stored keys runs out; made from its data.
ALTER TABLE connectors ADD COLUMN first_expiry BIGINT;

UPDATE connectors SET first_expiry = (
    SELECT min((value ->> 'expiresAt')::BIGINT) * 1000 FROM jsonb_array_elements(data::jsonb -> 'values') AS value
) WHERE kind = 'api-key';

CREATE INDEX connectors_first_expiry ON connectors (first_expiry, id)
    WHERE first_expiry IS NOT NULL AND deleted_at IS NULL;

-- Where the requester is told that it ended, and when the next try is due: `expires_at` while it is open.
ALTER TABLE authorizations ADD COLUMN webhook TEXT COLLATE "C";

ALTER TABLE authorizations ADD COLUMN webhook_due BIGINT;

ALTER TABLE authorizations ADD COLUMN webhook_tries BIGINT NOT NULL DEFAULT 0;

-- What was named of an installation; null for a person's consent.
ALTER TABLE authorizations ADD COLUMN install TEXT COLLATE "C";

CREATE INDEX authorizations_webhook_due ON authorizations (webhook_due) WHERE webhook_due IS NOT NULL;

CREATE TABLE webhook_secrets (
    team           TEXT COLLATE "C" PRIMARY KEY,
    secret         BYTEA NOT NULL,
    -- Signs along until then.
    previous       BYTEA,
    previous_until BIGINT,
    made_at        BIGINT NOT NULL
);
