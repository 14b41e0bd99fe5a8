-- What a signing key does follows from times instead of a status that somebody has to move on.
DROP INDEX signing_keys_active;

ALTER TABLE signing_keys ADD COLUMN signs_from INTEGER NOT NULL DEFAULT 0;

UPDATE signing_keys SET signs_from = created_at;

ALTER TABLE signing_keys ADD COLUMN retired_at INTEGER;

ALTER TABLE signing_keys DROP COLUMN status;
