-- Where connections come from, and where their tokens may be presented.

ALTER TABLE connections ADD COLUMN imported INTEGER NOT NULL DEFAULT 0;

ALTER TABLE token_sets ADD COLUMN servers TEXT;

ALTER TABLE held_consents ADD COLUMN servers TEXT;

ALTER TABLE revocations ADD COLUMN servers TEXT;
