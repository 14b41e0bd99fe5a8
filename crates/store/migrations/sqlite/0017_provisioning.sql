-- Whether a project's workloads may make connectors by themselves.

ALTER TABLE projects ADD COLUMN provisions INTEGER NOT NULL DEFAULT 0;
