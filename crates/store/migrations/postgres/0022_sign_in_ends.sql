-- Sign-ins end with what they rest on, and leave nothing where nobody answers.

CREATE INDEX flows_authorization ON flows (authorization_id);

-- Those of which it is known who they are.
CREATE INDEX sign_ins_known ON sign_ins (id) WHERE identity IS NOT NULL AND project IS NOT NULL;

CREATE INDEX sign_ins_unredeemed ON sign_ins (expires_at) WHERE project IS NULL;
