-- What the flows of Vercel's dialect keep.

-- When the first of a connector's stored keys runs out; made from its data.
ALTER TABLE connectors ADD COLUMN first_expiry INTEGER;

UPDATE connectors SET first_expiry = (
    SELECT min(json_extract(value, '$.expiresAt')) * 1000 FROM json_each(connectors.data, '$.values')
) WHERE kind = 'api-key';

CREATE INDEX connectors_first_expiry ON connectors (first_expiry, id)
    WHERE first_expiry IS NOT NULL AND deleted_at IS NULL;
