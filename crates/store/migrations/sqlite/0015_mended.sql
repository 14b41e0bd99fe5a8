-- The last code exchange of a connector, where it brought no token; and what is kept with a connection ends with it.

ALTER TABLE connectors ADD COLUMN exchange_code TEXT;

ALTER TABLE connectors ADD COLUMN exchange_at INTEGER;

DELETE FROM credentials WHERE connection IN (SELECT id FROM connections WHERE state = 'revoked');
