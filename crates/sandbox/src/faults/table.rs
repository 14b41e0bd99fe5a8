//! The one table of faults. To add one, add a row.

use axum::http::StatusCode;
use axum::http::header::{DATE, LOCATION, WWW_AUTHENTICATE};
use serde_json::json;

use super::callback::{Mode, callback};
use super::shapes::*;
use super::{Effect, Endpoint, Fault};
use crate::answer::Payload;
use crate::crypto::Signing;

const TOKEN: &[Endpoint] = &[Endpoint::Token];
const METADATA: &[Endpoint] = &[Endpoint::Metadata];
const REGISTER: &[Endpoint] = &[Endpoint::Register];
const MANAGE: &[Endpoint] = &[Endpoint::Manage];
const REVOKE: &[Endpoint] = &[Endpoint::Revoke];
/// Endpoints that a client sends credentials to.
const POSTS: &[Endpoint] = &[
    Endpoint::Token,
    Endpoint::Revoke,
    Endpoint::Register,
    Endpoint::Introspect,
];
/// Endpoints that refuse who does not prove who it is.
const GUARDED: &[Endpoint] = &[Endpoint::Token, Endpoint::Manage];
/// Every endpoint that answers a program rather than a browser.
const ALL: &[Endpoint] = &[
    Endpoint::Token,
    Endpoint::Revoke,
    Endpoint::Register,
    Endpoint::Manage,
    Endpoint::Introspect,
    Endpoint::Metadata,
    Endpoint::Jwks,
    Endpoint::Resource,
];

/// Everything that can go wrong, and how. Faults of one request are played in this order.
#[rustfmt::skip] // a table: one row, one line
pub static FAULTS: &[Fault] = &[
    // ---- Authorization responses ----
    callback("iss", &[1, 3], "names another issuer in iss", |c, value| c.set("iss", value_or(value, "https://evil.example"))),
    callback("noiss", &[2], "leaves iss out though the metadata promises it", |c, _| c.remove("iss")),
    callback("wrongstate", &[5], "answers with a state nobody asked for", |c, _| c.set("state", "wrong")),
    callback("nostate", &[5, 13], "answers without a state", |c, _| c.remove("state")),
    callback("dup", &[12], "sends a second code and a second state", |c, _| {
        c.params.push(("code".into(), "second".into()));
        c.params.push(("state".into(), "second".into()));
    }),
    callback("codeerror", &[13], "sends a code and an error at once", |c, value| c.set("error", value_or(value, "access_denied"))),
    callback("err", &[13, 14], "refuses with the error code given", |c, value| c.fail(value_or(value, "access_denied"))),
    callback("xss", &[14], "describes the error in HTML, with a line break", |c, _| {
        c.fail("access_denied");
        c.set("error_description", "<script>alert(1)</script>\r\nSet-Cookie: sandbox=1");
    }),
    callback("longerr", &[14], "describes the error in 100 KiB", |c, _| {
        c.fail("access_denied");
        c.set("error_description", "long ".repeat(100 * 1024 / 5));
    }),
    callback("frag", &[15], "answers in the fragment", |c, _| c.mode = Mode::Fragment),
    callback("formpost", &[15], "answers by a POST from a form", |c, _| c.mode = Mode::Form),
    callback("swap", &[21], "signs in another user than the one who agreed", |c, _| c.swap_user = true),

    // ---- Token answers a client can use ----
    edit(TOKEN, "ok", &[40], "plays nothing: keeps its place in the queue", |_, _| {}),
    edit(TOKEN, "ghform", &[30], "form-encoded success, as GitHub without Accept", |a, _| form(a)),
    edit(TOKEN, "htmlok", &[31], "JSON that says it is text/html", |a, _| wrap(a, "text/html; charset=utf-8", "", "")),
    edit(TOKEN, "bom", &[31], "JSON after a byte order mark", |a, _| wrap(a, "application/json", "\u{feff}", "")),
    edit(TOKEN, "noexp", &[34], "no expires_in", |a, _| a.remove("expires_in")),
    edit(TOKEN, "strexp", &[35], "expires_in in quotes", |a, _| a.set(json!({"expires_in": "3600"}))),
    edit(TOKEN, "floatexp", &[35], "expires_in with a fraction", |a, _| a.set(json!({"expires_in": 3600.5}))),
    edit(TOKEN, "zeroexp", &[35], "expires_in of zero", |a, _| a.set(json!({"expires_in": 0}))),
    edit(TOKEN, "negexp", &[35], "negative expires_in", |a, _| a.set(json!({"expires_in": -3600}))),
    edit(TOKEN, "hugeexp", &[35], "expires_in of 10^18", |a, _| a.set(json!({"expires_in": 1_000_000_000_000_000_000_u64}))),
    keep(TOKEN, "norefresh", &[36], "no refresh_token; the old one stays good", |a, _| a.remove("refresh_token")),
    keep(TOKEN, "emptyrefresh", &[36], "empty refresh_token; the old one stays good", |a, _| a.set(json!({"refresh_token": ""}))),
    edit(TOKEN, "nofacts", &[36], "says nothing of what it said beside the first tokens", |a, _| facts(a)),
    edit(TOKEN, "morescope", &[20], "grants a scope nobody asked for", |a, _| scope(a, |s| s.push("admin"))),
    edit(TOKEN, "lessscope", &[20], "grants one scope less than asked", |a, _| scope(a, |s| { s.pop(); })),
    edit(TOKEN, "noscope", &[20], "does not say what was granted", |a, _| a.remove("scope")),
    edit(TOKEN, "skewdate", &[48], "a clock one hour ahead, in the Date header and the ID token", |a, s| {
        let ahead = s.now.after(HOUR);
        a.header(DATE, &http_date(ahead));
        id_token(a, s, Signing::Rs256, None, &[("iat", json!(ahead.as_secs())), ("exp", json!(ahead.after(HOUR).as_secs()))]);
    }),

    // ---- ID tokens ----
    edit(TOKEN, "idt_none", &[22], "ID token without a signature (alg none)", |a, s| id_token(a, s, Signing::None, None, &[])),
    edit(TOKEN, "idt_hs256", &[22], "ID token signed with the public key as a shared secret", |a, s| id_token(a, s, Signing::Hs256WithPublicKey, None, &[])),
    edit(TOKEN, "idt_kid", &[22], "ID token under a key id that no key set has", |a, s| id_token(a, s, Signing::Rs256, Some("unknown"), &[])),
    edit(TOKEN, "idt_iss", &[22], "ID token of another issuer", |a, s| id_token(a, s, Signing::Rs256, None, &[("iss", json!("https://evil.example"))])),
    edit(TOKEN, "idt_aud", &[22], "ID token for another client", |a, s| id_token(a, s, Signing::Rs256, None, &[("aud", json!("another"))])),
    edit(TOKEN, "idt_azp", &[22], "ID token for two clients, authorised for the other", |a, s| id_token(a, s, Signing::Rs256, None, &[("azp", json!("another"))])),
    edit(TOKEN, "idt_nonce", &[22], "ID token with another nonce", |a, s| id_token(a, s, Signing::Rs256, None, &[("nonce", json!("another"))])),
    edit(TOKEN, "idt_exp", &[22], "ID token that expired an hour ago", |a, s| id_token(a, s, Signing::Rs256, None, &[("exp", json!(s.now.before(HOUR).as_secs()))])),
    edit(TOKEN, "idt_absent", &[21, 22], "no ID token, though openid was asked for", |a, _| a.remove("id_token")),
    edit(TOKEN, "idt_sub", &[22], "ID token of another user", |a, s| id_token(a, s, Signing::Rs256, None, &[("sub", json!("mallory"))])),

    // ---- Token answers a client must not use; the grant is not touched ----
    instead(TOKEN, "slack200", &[29], "200 with an error, Slack's way", |a, s| a.set(json!({"ok": false, "error": s.value_or("invalid_refresh_token")}))),
    instead(TOKEN, "gh200", &[29], "200 with an error, GitHub's way", |a, s| a.set(json!({"error": s.value_or("bad_refresh_token"), "error_description": "The refresh token passed is incorrect or expired."}))),
    instead(TOKEN, "empty", &[32], "200 without a body", |_, _| {}),
    instead(TOKEN, "json_arr", &[32], "a JSON array", |a, _| a.replace(StatusCode::OK, "application/json", "[]")),
    instead(TOKEN, "nulat", &[32], "access_token null", |a, _| tokens(a, json!({"access_token": null}))),
    instead(TOKEN, "emptyat", &[32], "access_token empty", |a, _| tokens(a, json!({"access_token": ""}))),
    instead(TOKEN, "wrongtype", &[32], "token_type mac", |a, _| tokens(a, json!({"token_type": "mac"}))),
    instead(TOKEN, "dupkey", &[32], "access_token twice", |a, _| a.replace(StatusCode::OK, "application/json", r#"{"access_token":"at_first","access_token":"at_second","token_type":"Bearer"}"#)),
    instead(TOKEN, "junk", &[31], "good JSON, then junk", |a, _| { tokens(a, json!({})); wrap(a, "application/json", "", "<!-- end -->"); }),
    instead(TOKEN, "crlf_at", &[33], "access_token with CR, LF and NUL", |a, _| tokens(a, json!({"access_token": "at\r\nX-Injected: 1\0"}))),
    instead(TOKEN, "nonascii_at", &[33], "access_token with letters beyond ASCII", |a, _| tokens(a, json!({"access_token": "at_é\u{202e}"}))),
    instead(TOKEN, "hugeat", &[33], "access_token of 1 MiB less the rest", |a, _| tokens(a, json!({"access_token": "a".repeat(1024 * 1024 - 4096)}))),
    instead(TOKEN, "inv_grant", &[42], "400 invalid_grant", |a, _| error(a, StatusCode::BAD_REQUEST, "invalid_grant", "the grant is not good")),
    instead(POSTS, "inv_client", &[26, 43], "401 invalid_client", |a, _| {
        error(a, StatusCode::UNAUTHORIZED, "invalid_client", "no such client");
        a.header(WWW_AUTHENTICATE, "Basic realm=\"sandbox\"");
    }),
    instead(POSTS, "unauth_client", &[43], "400 unauthorized_client", |a, _| error(a, StatusCode::BAD_REQUEST, "unauthorized_client", "not with this grant type")),
    instead(POSTS, "reflect", &[55], "an error that repeats the whole request, credentials too", |a, s| error(a, StatusCode::BAD_REQUEST, "invalid_request", &format!("cannot handle: {}", s.echo))),

    // ---- Answers that do not come, or not in time ----
    instead(ALL, "hang", &[38, 49, 51], "takes the request and never answers; nothing is processed", |a, _| a.payload = Payload::Never),
    lose(ALL, "silence", &[41], "processes the request and never answers", |a, _| a.payload = Payload::Never),
    lose(ALL, "lost", &[41], "processes the request, then resets the connection", |a, _| a.payload = Payload::Reset),
    lose(ALL, "lostmid", &[41], "processes the request, then cuts the answer in half", |a, _| a.payload = Payload::Half(a.body())),
    lose(TOKEN, "grace", &[41], "as lost, but the old refresh token answers with the same pair for 60 s", |a, _| a.payload = Payload::Reset).with_effect(Effect::RotateWithGrace),
    edit(ALL, "slow", &[38, 46, 49, 52], "one byte per second", |a, _| a.payload = Payload::Drip(a.body())),
    edit(ALL, "late", &[38, 49, 52], "the whole answer after 5 s", |a, s| a.delay = s.seconds_or(5)),

    // ---- Trouble ----
    instead(ALL, "s500", &[44], "500", |a, _| a.replace(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error")),
    lose(ALL, "s502", &[41, 44], "processes the request, then a gateway answers 502", |a, _| a.replace(StatusCode::BAD_GATEWAY, "text/plain", "bad gateway")),
    instead(ALL, "html502", &[44], "502 with a page of HTML", |a, _| a.replace(StatusCode::BAD_GATEWAY, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")),
    instead(GUARDED, "html401", &[26, 43], "401 with a page of HTML, as of a gateway before the server", |a, _| a.replace(StatusCode::UNAUTHORIZED, "text/html", "<html><body><h1>401</h1></body></html>")),
    instead(ALL, "s408", &[44], "408", |a, _| a.replace(StatusCode::REQUEST_TIMEOUT, "text/plain", "timeout")),
    instead(ALL, "s425", &[44], "425", |a, _| a.replace(StatusCode::TOO_EARLY, "text/plain", "too early")),
    instead(POSTS, "temp_unavail", &[44], "400 temporarily_unavailable", |a, _| error(a, StatusCode::BAD_REQUEST, "temporarily_unavailable", "overloaded")),
    instead(ALL, "flaky", &[44], "500 for every other request, beginning with the first", |a, _| a.replace(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "internal error")).every(2),
    instead(ALL, "s429", &[45], "429, Retry-After in seconds (2, or the value given)", |a, s| retry_after(a, StatusCode::TOO_MANY_REQUESTS, &s.value_or("2"))),
    instead(ALL, "s429d", &[45], "429, Retry-After as a date 5 s ahead", |a, s| { let date = http_date(s.now.after(s.seconds_or(5))); retry_after(a, StatusCode::TOO_MANY_REQUESTS, &s.value_or(&date)); }),
    instead(ALL, "s503", &[45, 51], "503, Retry-After in seconds (2, or the value given)", |a, s| retry_after(a, StatusCode::SERVICE_UNAVAILABLE, &s.value_or("2"))),
    instead(ALL, "huge", &[46, 67], "a body that never ends", |a, _| huge(a)),
    instead(ALL, "bomb", &[46], "64 MiB in a few hundred KiB of gzip", |a, _| bomb(a)),
    instead(ALL, "deep", &[46], "200 000 nested brackets", |a, _| a.replace(StatusCode::OK, "application/json", "[".repeat(200_000))),
    instead(ALL, "r302", &[47, 61], "302 to a trap (or the value given)", |a, s| redirect(a, s, StatusCode::FOUND)),
    instead(ALL, "r307", &[47, 61], "307 to a trap (or the value given)", |a, s| redirect(a, s, StatusCode::TEMPORARY_REDIRECT)),
    instead(ALL, "r308", &[47, 61], "308 to a trap (or the value given)", |a, s| redirect(a, s, StatusCode::PERMANENT_REDIRECT)),

    // ---- Metadata ----
    edit(METADATA, "issuer", &[4], "says it is another issuer", |a, s| { let issuer = s.value_or("https://evil.example"); a.set(json!({"issuer": issuer})); }),
    edit(METADATA, "resource", &[4], "protected-resource metadata of another resource", |a, s| { let resource = s.value_or("https://evil.example"); a.set(json!({"resource": resource})); }),
    edit(METADATA, "nopkce", &[11], "does not mention PKCE", |a, _| a.remove("code_challenge_methods_supported")),
    edit(METADATA, "plainpkce", &[11], "offers only PKCE plain", |a, _| a.set(json!({"code_challenge_methods_supported": ["plain"]}))),
    edit(METADATA, "noissflag", &[2], "does not promise iss", |a, _| a.remove("authorization_response_iss_parameter_supported")),
    edit(METADATA, "evil", &[56, 62], "endpoints on private hosts and of other schemes", |a, _| a.set(json!({
        "authorization_endpoint": "javascript:alert(1)",
        "token_endpoint": "http://169.254.169.254/latest/meta-data",
        "registration_endpoint": "http://10.0.0.1/register",
        "revocation_endpoint": "http://[::ffff:127.0.0.1]:6379/",
        "introspection_endpoint": "gopher://127.0.0.1:25/",
        "userinfo_endpoint": "http://user@192.168.0.1/userinfo",
        "jwks_uri": "file:///etc/passwd",
    }))),
    instead(METADATA, "redir-private", &[61], "redirects to a private host", |a, s| { redirect(a, s, StatusCode::FOUND); a.header(LOCATION, "http://10.0.0.1/.well-known/oauth-authorization-server"); }),
    instead(METADATA, "loop", &[61], "redirects to itself", |a, s| { redirect(a, s, StatusCode::FOUND); a.header(LOCATION, &format!("{}/meta/loop", s.public_url)); }),

    // ---- Registration ----
    edit(REGISTER, "insecure", &[25], "every answer that must not be believed, at once", |a, _| a.set(json!({
        "redirect_uris": ["https://evil.example/callback"], "client_id": "evil\r\nX-Injected: 1",
        "token_endpoint_auth_method": "trust_me", "registration_client_uri": "http://169.254.169.254/",
    }))),
    edit(REGISTER, "redirect", &[25], "registers another redirect URI", |a, _| a.set(json!({"redirect_uris": ["https://evil.example/callback"]}))),
    edit(REGISTER, "crlf", &[25], "client_id with CR and LF", |a, _| a.set(json!({"client_id": "evil\r\nX-Injected: 1"}))),
    edit(REGISTER, "method", &[25], "a client authentication nobody knows", |a, _| a.set(json!({"token_endpoint_auth_method": "trust_me"}))),
    edit(REGISTER, "uri", &[25], "a registration_client_uri on a private host", |a, _| a.set(json!({"registration_client_uri": "http://169.254.169.254/"}))),
    edit(REGISTER, "expires", &[26], "a client secret that expires in a minute", |a, s| { let at = s.now.after(s.seconds_or(60)).as_secs(); a.set(json!({"client_secret_expires_at": at})); }),

    // ---- Management of a registration ----
    edit(MANAGE, "nosecret", &[26], "answers without the client's secret, as who keeps a hash", |a, _| a.remove("client_secret")),
    edit(MANAGE, "noaccess", &[26], "answers without the registration's URL and access token", |a, _| {
        a.remove("registration_client_uri");
        a.remove("registration_access_token");
    }),
    edit(MANAGE, "another", &[25, 26], "answers with another client", |a, _| a.set(json!({"client_id": "another"}))),
    instead(MANAGE, "badmeta", &[26], "400 invalid_client_metadata", |a, _| error(a, StatusCode::BAD_REQUEST, "invalid_client_metadata", "not as this client")),
    instead(MANAGE, "unoffered", &[26], "404: registrations cannot be managed", |a, _| a.replace(StatusCode::NOT_FOUND, "text/plain", "not found")),

    // ---- Revocation ----
    instead(REVOKE, "unsupported", &[51], "400 unsupported_token_type", |a, _| error(a, StatusCode::BAD_REQUEST, "unsupported_token_type", "cannot revoke this")),
];

/// The value of a fault's parameter, if it has one.
fn value_or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}
