-- What a team's members, a person's keys and a project's keys are found by.

CREATE INDEX memberships_team ON memberships (team, user_id);

CREATE INDEX keys_user ON keys (user_id) WHERE user_id IS NOT NULL;

CREATE INDEX keys_project ON keys (project) WHERE project IS NOT NULL;
