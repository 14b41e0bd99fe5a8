-- What the migration runner itself stands on. Run at every start, so every statement may be repeated.
-- Statements of a migration file are separated by a blank line.

CREATE TABLE IF NOT EXISTS schema_migrations (
    version    BIGINT PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    applied_at BIGINT NOT NULL,
    -- The lowest schema number a binary must know to run on the schema from here on.
    min_binary BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS leases (
    name       TEXT COLLATE "C" PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);

-- The database's clock, in microseconds. Not `now()`, which stands still within a transaction.
CREATE OR REPLACE FUNCTION now_us() RETURNS BIGINT LANGUAGE SQL VOLATILE
    AS $$ SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT $$;
