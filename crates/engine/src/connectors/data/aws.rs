//! `aws-alpha`: a role that takes tokens of our own issuer (`sts:AssumeRoleWithWebIdentity`).

use super::{EXTRAS, Field, SEARCHED, Shape, field};

pub(super) const AWS: &[Field] = &[
    field("roleArn", Shape::Text(2048)),
    field("region", Shape::Text(64)),
    field("audience", Shape::Text(1024)),
    EXTRAS,
    SEARCHED,
];
