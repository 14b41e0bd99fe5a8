-- How a connector's client is known to its authorization server, where Grantry saw to that, and the secrets of that.

ALTER TABLE connectors ADD COLUMN registration TEXT;

ALTER TABLE connectors ADD COLUMN registration_secrets BYTEA;
