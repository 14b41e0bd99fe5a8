//! `aws-alpha`: a role that takes tokens of our own issuer (`sts:AssumeRoleWithWebIdentity`).

use super::{EXTRAS, Field, Form, SEARCHED, Shape, field};

pub(super) const AWS: &[Field] = &[
    field("roleArn", Shape::Formed(ROLE)),
    field("region", Shape::Formed(REGION)),
    field("audience", Shape::Text(1024)),
    EXTRAS,
    SEARCHED,
];

/// Any partition, and a path of printable ASCII before the name (IAM `CreateRole`: `Path`, `RoleName`).
const ROLE: &Form = &Form {
    pattern: r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}",
    max: 2048,
    words: "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/name: an account of 12 digits, and a name of 1 to 64 letters, digits and _+=,.@-",
};

/// As AWS writes its own: `us-gov-west-1`, `eusc-de-east-1`.
const REGION: &Form = &Form {
    pattern: "[a-z]+(-[a-z]+)+-[0-9]+",
    max: 64,
    words: "the code of an AWS region, such as eu-central-1",
};
