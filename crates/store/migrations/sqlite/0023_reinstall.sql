-- Since when a connector's application has to be installed again, and what that follows from.

-- When what it asks for in a tenant became what it is; null since the connector was made.
ALTER TABLE connectors ADD COLUMN terms_at INTEGER;

ALTER TABLE connectors ADD COLUMN reinstall_at INTEGER;

-- The connector's `terms_at` that it was installed under.
ALTER TABLE installations ADD COLUMN terms_at INTEGER;

-- What whoever is at the provider consents to.
ALTER TABLE flows ADD COLUMN terms_at INTEGER;
