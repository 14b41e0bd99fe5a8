-- What the flows of Vercel's dialect keep.

-- When the first of a connector's stored keys runs out; made from its data.
ALTER TABLE connectors ADD COLUMN first_expiry BIGINT;

UPDATE connectors SET first_expiry = (
    SELECT min((value ->> 'expiresAt')::BIGINT) * 1000 FROM jsonb_array_elements(data::jsonb -> 'values') AS value
) WHERE kind = 'api-key';

CREATE INDEX connectors_first_expiry ON connectors (first_expiry, id)
    WHERE first_expiry IS NOT NULL AND deleted_at IS NULL;
