//! ID tokens of workloads, as build services and clusters issue them. No authentication: whoever asks is
//! whoever they say they are. Claims as in the public documents of both.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Pairs;
use crate::crypto::Signing;
use crate::sandbox::Sandbox;

/// `GET /actions/id-token?audience=…&repository=…&ref=…&environment=…`, as at GitHub Actions'
/// `ACTIONS_ID_TOKEN_REQUEST_URL`: five minutes, `{"value": …}`.
pub(super) async fn actions(State(sandbox): State<Sandbox>, uri: Uri) -> Json<Value> {
    let query = Pairs::query(&uri);
    let or = |name: &str, default: &str| query.get(name).unwrap_or(default).to_owned();
    let repository = or("repository", "acme/web");
    let owner = repository.split('/').next().unwrap_or_default().to_owned();
    let git_ref = or("ref", "refs/heads/main");
    let context = match query.get("environment") {
        Some(environment) => format!("environment:{environment}"),
        None => format!("ref:{git_ref}"),
    };
    let mut claims = json!({
        "sub": format!("repo:{repository}:{context}"),
        "aud": or("audience", &format!("https://github.com/{owner}")),
        "repository": repository, "repository_owner": owner, "ref": git_ref, "ref_type": "branch",
        "repository_visibility": "private", "event_name": "push", "actor": "octocat",
        "workflow": "deploy", "run_id": "1", "run_attempt": "1", "runner_environment": "github-hosted",
    });
    if let Some(environment) = query.get("environment") {
        claims["environment"] = json!(environment);
    }
    let token = sign(
        &sandbox,
        Signing::Rs256,
        &json!({"typ": "JWT"}),
        claims,
        300,
    );
    Json(json!({"count": token.len(), "value": token}))
}

/// A TokenRequest of Kubernetes (`authentication.k8s.io/v1`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenRequest {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    audiences: Vec<String>,
    expiration_seconds: Option<i64>,
}

/// `POST /api/v1/namespaces/{namespace}/serviceaccounts/{account}/token`: what `kubectl create token` and
/// the kubelet ask a cluster for. Its tokens have no `typ`.
pub(super) async fn service_account(
    State(sandbox): State<Sandbox>,
    Path((namespace, account)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let Ok(asked) = serde_json::from_slice::<TokenRequest>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let audiences = match asked.spec.audiences.is_empty() {
        true => vec![sandbox.issuer().to_owned()],
        false => asked.spec.audiences,
    };
    let claims = json!({
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "aud": audiences,
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": "5c7d1f5e-0000-4000-8000-000000000001"},
            "pod": {"name": "web-0", "uid": "5c7d1f5e-0000-4000-8000-000000000002"},
        },
    });
    let life = asked.spec.expiration_seconds.unwrap_or(3600);
    let token = sign(&sandbox, Signing::Rs256, &json!({}), claims, life);
    let status = json!({"status": {"token": token}, "kind": "TokenRequest"});
    (StatusCode::CREATED, Json(status)).into_response()
}

/// What `POST /_mint` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    claims: Value,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    signing: Signing,
}

/// `POST /_mint`: any token: `claims` over `iss`, `iat` and an `exp` in five minutes (a `null` takes one
/// away), `header` over `typ` and the `kid` of the key, `signing` (`RS256`, `HS256` keyed with the public
/// key, `none`).
pub(super) async fn mint(State(sandbox): State<Sandbox>, body: Bytes) -> Response {
    match serde_json::from_slice::<Mint>(&body) {
        Ok(Mint {
            claims,
            header,
            signing,
        }) => {
            let mut whole = json!({"typ": "JWT"});
            for (name, value) in header {
                whole[name] = value;
            }
            Json(json!({"token": sign(&sandbox, signing, &whole, claims, 300)})).into_response()
        }
        Err(error) => {
            let why = json!({"error": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(why)).into_response()
        }
    }
}

/// `POST /_rotate?forget=true`: signs with a new key from now on, and forgets the ones before.
pub(super) async fn rotate(State(sandbox): State<Sandbox>, uri: Uri) -> StatusCode {
    let forget = Pairs::query(&uri).get("forget") == Some("true");
    sandbox.rotate_key(forget);
    StatusCode::NO_CONTENT
}

fn sign(sandbox: &Sandbox, signing: Signing, header: &Value, claims: Value, life: i64) -> String {
    let now = sandbox.now().as_secs();
    let mut whole = json!({"iss": sandbox.issuer(), "iat": now, "nbf": now, "exp": now + life});
    if let (Value::Object(whole), Value::Object(claims)) = (&mut whole, claims) {
        whole.extend(claims);
        whole.retain(|_, value| !value.is_null());
    }
    let key = sandbox.key();
    let mut header = header.clone();
    if header.get("kid").is_none() {
        header["kid"] = json!(key.kid);
    }
    if let Value::Object(header) = &mut header {
        header.retain(|_, value| !value.is_null());
    }
    key.sign_with(signing, &header, &whole)
}
