-- What the migration runner itself stands on. Run at every start, so every statement may be repeated.
-- Statements of a migration file are separated by a blank line.

CREATE TABLE IF NOT EXISTS schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL,
    -- The lowest schema number a binary must know to run on the schema from here on.
    min_binary INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS leases (
    name       TEXT    PRIMARY KEY,
    owner      TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
