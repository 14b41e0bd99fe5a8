//! `POST /salesforce/services/oauth2/token`: a connected app of a Salesforce org. Every answer names the org's own host and
//! no lifetime, and a refresh brings no other refresh token. In the JWT bearer flow (RFC 7523 §2.1) the assertion has to be
//! signed by the client's certificate, for a user of ours, for Salesforce, and to end within three minutes.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantry_core::Timestamp;
use serde_json::{Value, json};

use super::Pairs;
use super::token::{grant, refused};
use super::token_request::TokenRequest;
use crate::answer::Answer;
use crate::crypto;
use crate::faults::Effect;
use crate::model::{Grant, Issued, Mint, Model, Refusal};
use crate::sandbox::Sandbox;

/// How Salesforce is called in assertions: production and sandboxes.
const AUDIENCES: [&str; 2] = [
    "https://login.salesforce.com",
    "https://test.salesforce.com",
];
/// Seconds that an assertion may live, and how far our clock may be behind.
const LIFE: i64 = 180 + 30;

pub(super) async fn token(State(sandbox): State<Sandbox>, asked: TokenRequest) -> Response {
    let work = |model: &mut Model, mint: &Mint<'_>, _| {
        let issued = match asked.form.get("grant_type") {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                bearer(&sandbox, model, mint, &asked.form)
            }
            _ => grant(model, mint, Effect::Keep, &asked.credentials, &asked.form),
        };
        let issued = match issued {
            Ok(issued) => issued,
            Err(refusal) => return refused(refusal, &asked.credentials),
        };
        let user = issued.grant.user.unwrap_or_default();
        let mut answer = json!({
            "access_token": issued.access_token, "token_type": "Bearer", "scope": issued.grant.scope,
            "instance_url": "https://acme.my.salesforce.com",
            "id": format!("https://login.salesforce.com/id/00D0/{user}"),
        });
        if let Some(refresh_token) = issued.refresh_token {
            answer["refresh_token"] = refresh_token.into();
        }
        Answer::json(answer)
    };
    sandbox.perform(asked.visit(), work).await
}

/// The token of the user that an assertion speaks for.
fn bearer(
    sandbox: &Sandbox,
    model: &mut Model,
    mint: &Mint<'_>,
    form: &Pairs,
) -> Result<Issued, Refusal> {
    let (client_id, user) = asserted(sandbox, model, mint.now, form)?;
    let grant = Grant {
        client_id,
        user: Some(user),
        scope: "api".to_owned(),
        resources: vec![],
        nonce: None,
        workspace: None,
    };
    Ok(model.client_credentials(mint, grant))
}

/// Which client speaks for which user.
fn asserted(
    sandbox: &Sandbox,
    model: &Model,
    now: Timestamp,
    form: &Pairs,
) -> Result<(String, String), Refusal> {
    let refused = |why| Refusal::new("invalid_grant", why);
    if form.get("scope").is_some() {
        return Err(Refusal::new(
            "invalid_request",
            "scope is not taken in this flow",
        ));
    }
    let assertion = form.get("assertion").ok_or(refused("no assertion"))?;
    let claims = crypto::claims(assertion).ok_or(refused("invalid assertion"))?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    let client = model.client(text("iss"));
    let client = client.ok_or(refused("client identifier invalid"))?;
    let key = client.assertion_key.as_ref();
    if !key.is_some_and(|key| signed_by(key, assertion)) {
        return Err(refused("invalid assertion signature"));
    }
    if !AUDIENCES.contains(&text("aud")) {
        return Err(refused("audience is invalid"));
    }
    let ends = claims["exp"].as_i64().unwrap_or_default();
    let left = ends.saturating_sub(now.as_secs());
    if !(1..=LIFE).contains(&left) {
        return Err(refused("the assertion is expired or lives too long"));
    }
    let mut users = sandbox.config().users.iter();
    let user = users.find(|user| user.id == text("sub"));
    let user = user.ok_or(refused("user hasn't approved this consumer"))?;
    Ok((client.id.clone(), user.id.clone()))
}

/// Whether a compact JWS is signed with RS256 by the key of this JWK.
pub(super) fn signed_by(jwk: &Value, jws: &str) -> bool {
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let part = |name: &str| decoded(jwk[name].as_str()?);
    let verified = || {
        let (input, signature) = jws.rsplit_once('.')?;
        let header: Value = serde_json::from_slice(&decoded(input.split('.').next()?)?).ok()?;
        let public = RsaPublicKeyComponents {
            n: part("n")?,
            e: part("e")?,
        };
        let signature = decoded(signature)?;
        let held = public.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature);
        (header["alg"] == "RS256" && held.is_ok()).then_some(())
    };
    verified().is_some()
}
