-- Whether a project's workloads may make connectors by themselves.

ALTER TABLE projects ADD COLUMN provisions BIGINT NOT NULL DEFAULT 0;
