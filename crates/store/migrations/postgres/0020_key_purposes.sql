-- A key for the tokens of sign-ins is no key for those of workloads: each purpose has an issuer and a key set of its own.
ALTER TABLE signing_keys ADD COLUMN purpose TEXT NOT NULL DEFAULT 'workload';
