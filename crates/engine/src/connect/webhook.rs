//! Telling whoever asked for a consent that it ended: a POST signed as Standard Webhooks says
//! (<https://www.standardwebhooks.com>), at least once, tried for about a day.
//!
//! That a webhook is due stands in the authorization's row, written in the transaction that ends it: a crash right
//! after loses nothing. Who takes it up moves the time on before it sends, so that another node comes after it only
//! when it died. The body says what to ask about, never a token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use grantry_core::http::{Method, Purpose, Request};
use grantry_core::ids::TeamId;
use grantry_core::nouns::{
    Authorization, AuthorizationState, DueWebhook, EventKind, Sealed, WebhookSecret,
};
use grantry_core::{Error, Result, Secret, entropy};
use grantry_vault::envelope::Place;
use grantry_vault::hash::hmac_sha256;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::return_url::{is_loopback, well_formed};
use crate::permissions::Act;
use crate::{Caller, Engine};

/// Pauses between tries, as the specification recommends.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(10 * 3600),
];
/// Longer than a request may take.
const CLAIM: Duration = Duration::from_secs(90);
/// How long the secret before signs along.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
const BATCH: u32 = 50;
const AT_ONCE: usize = 8;
const SECRET_BYTES: usize = 32;

impl Engine {
    /// What is wrong with a webhook's address.
    pub(super) fn webhook_complaint(&self, url: &str) -> Option<String> {
        match well_formed(url) {
            Err(complaint) => Some(complaint),
            Ok(url) if url.scheme() == "http" && !is_loopback(&self.settings.public_url) => {
                Some("must be https".to_owned())
            }
            Ok(_) => None,
        }
    }

    /// Sends what is due. For the background.
    pub(crate) async fn deliver_webhooks(self: &Arc<Self>) -> Result<()> {
        loop {
            let due = self.ports.store.due_webhooks(self.now(), BATCH).await?;
            let count = due.len();
            let sent = stream::iter(due).map(|due| {
                let engine = Arc::clone(self);
                async move { engine.deliver(due).await }
            });
            let mut sent = std::pin::pin!(sent.buffer_unordered(AT_ONCE));
            // One that fails does not cut the others short, nor come back at once.
            while let Some(sent) = sent.next().await {
                if let Err(error) = sent {
                    tracing::warn!(%error, "a webhook is tried again when its claim is over");
                }
            }
            if count < BATCH as usize || self.stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn deliver(&self, due: DueWebhook) -> Result<()> {
        let store = &self.ports.store;
        let (now, id) = (self.now(), &due.authorization.id);
        let tries = due.tries.saturating_add(1);
        let claimed = now.after(CLAIM);
        if !store
            .move_webhook(id, due.due, Some(claimed), tries)
            .await?
        {
            return Ok(());
        }
        let state = self.state_now(&due.authorization).await?;
        let open = matches!(
            state,
            AuthorizationState::Pending | AuthorizationState::Unconfirmed
        );
        let answer = match (open, due.authorization.webhook.as_deref().map(Url::parse)) {
            // Its time is a little later than the row says: it is looked at again when the claim is over.
            (true, _) => return Ok(()),
            (false, Some(Ok(url))) => match self.tell(&due, &state, url).await {
                Err(Error::Unavailable) => return Err(Error::Unavailable),
                Err(error) => {
                    tracing::warn!(authorization = %id, %error, "a webhook cannot be sent");
                    None
                }
                Ok(told) => told,
            },
            (false, _) => None,
        };
        let (next, kind) = match answer {
            Some(200..=299) => (None, Some(EventKind::WebhookDelivered)),
            // The receiver is gone for good.
            Some(410) => (None, Some(EventKind::WebhookFailed)),
            _ => match PAUSES.get(due.tries as usize) {
                Some(pause) => (Some(self.now().after(*pause)), None),
                None => (None, Some(EventKind::WebhookFailed)),
            },
        };
        let moved = store.move_webhook(id, claimed, next, tries).await?;
        if let (true, Some(kind)) = (moved, kind) {
            let event = self
                .system_draft(kind, &due.authorization.team)
                .connector(&due.authorization.grant.connector)
                .with("authorization", id.as_str())
                .with("tries", tries)
                .done();
            store.append_events(std::slice::from_ref(&event)).await?;
        }
        Ok(())
    }

    /// One try; the status that came back.
    async fn tell(
        &self,
        due: &DueWebhook,
        state: &AuthorizationState,
        url: Url,
    ) -> Result<Option<u16>> {
        let authorization = &due.authorization;
        let body = self.news(due, state).await?.to_string();
        let message = format!("msg_{}", authorization.id);
        let at = self.now().as_secs().to_string();
        let secret = self.signing_secret(&authorization.team).await?;
        let place = secret_place(&authorization.team);
        let mut signatures = Zeroizing::new(String::new());
        let along = secret
            .previous_until
            .is_some_and(|until| self.now() < until);
        let previous = secret.previous.as_ref().filter(|_| along);
        for sealed in std::iter::once(&secret.secret).chain(previous) {
            let key = self.keys.open_text(place, sealed).await?;
            let signature = signature(&key, &message, &at, &body).ok_or(Error::Internal)?;
            let gap = if signatures.is_empty() { "" } else { " " };
            signatures.push_str(&format!("{gap}v1,{signature}"));
        }
        let plain = |text: &str| Zeroizing::new(text.to_owned());
        let request = Request {
            method: Method::Post,
            url,
            headers: vec![
                ("content-type", plain("application/json")),
                ("webhook-id", plain(&message)),
                ("webhook-timestamp", plain(&at)),
                ("webhook-signature", signatures),
            ],
            body: Zeroizing::new(body.into_bytes()),
            purpose: Purpose::Webhook,
        };
        match self.ports.http.send(request).await {
            Ok(answer) => Ok(Some(answer.status)),
            Err(failure) => {
                tracing::info!(authorization = %authorization.id, %failure, "a webhook got no answer");
                Ok(None)
            }
        }
    }

    /// What is told: the same each time.
    async fn news(&self, due: &DueWebhook, state: &AuthorizationState) -> Result<Value> {
        let Authorization {
            id,
            team,
            grant,
            install,
            ..
        } = &due.authorization;
        let store = &self.ports.store;
        let connector = store.connector(team, grant.connector.as_str()).await?;
        let connector = connector.ok_or(Error::NotFound("connector"))?;
        let (word, connection, code) = match state {
            AuthorizationState::Success { connection } => ("success", Some(connection), None),
            AuthorizationState::Error { code } => ("error", None, Some(code.as_str())),
            _ => ("canceled", None, None),
        };
        let what = if install.is_some() {
            "installation"
        } else {
            "authorization"
        };
        let mut data = json!({
            "request": id.as_str(),
            "status": word,
            "connector": {"id": connector.id.as_str(), "uid": connector.uid, "type": connector.kind.as_str()},
            "subject": grant.subject,
            "environment": grant.environment,
        });
        if let Some(connection) = connection {
            data["connectionId"] = connection.as_str().into();
            let live = store.connection(team, connection).await?;
            if let Some(installation) = live.and_then(|live| live.connection.grant.installation) {
                data["installationId"] = installation.into();
            }
        }
        if let Some(code) = code {
            data["error"] = json!({ "code": code });
        }
        Ok(json!({
            "type": format!("{what}.{word}"),
            "timestamp": due.ended_at.to_string(),
            "data": data,
        }))
    }

    /// What the team's webhooks are signed with; made when it is needed first.
    async fn signing_secret(&self, team: &TeamId) -> Result<WebhookSecret> {
        let store = &self.ports.store;
        if let Some(secret) = store.webhook_secret(team).await? {
            return Ok(secret);
        }
        let first = self.new_secret(team, None).await?;
        let event = self
            .system_draft(EventKind::WebhookSecretRotated, team)
            .done();
        store.put_webhook_secret(&first, None, &event).await?;
        store.webhook_secret(team).await?.ok_or(Error::Unavailable)
    }

    async fn new_secret(
        &self,
        team: &TeamId,
        before: Option<&WebhookSecret>,
    ) -> Result<WebhookSecret> {
        self.keys.ready(team).await?;
        let bytes = Zeroizing::new(entropy::bytes::<SECRET_BYTES>(self.entropy()));
        let text = Zeroizing::new(format!("whsec_{}", STANDARD.encode(*bytes)));
        let now = self.now();
        Ok(WebhookSecret {
            team: team.clone(),
            secret: self.keys.seal(secret_place(team), text.as_bytes())?,
            previous: before.map(|before| before.secret.clone()),
            previous_until: before.map(|_| now.after(OVERLAP)),
            made_at: now,
        })
    }

    async fn opened(&self, team: &TeamId, sealed: &Sealed) -> Result<Secret> {
        self.keys.open_text(secret_place(team), sealed).await
    }

    /// Shows an admin what the team's webhooks are signed with.
    pub async fn webhook_secret(&self, caller: &Caller) -> Result<(WebhookSecret, Secret)> {
        caller.require(Act::ManageSecrets)?;
        let secret = self.signing_secret(&caller.team).await?;
        let text = self.opened(&caller.team, &secret.secret).await?;
        let event = self.draft(EventKind::WebhookSecretRead, caller).done();
        self.ports
            .store
            .append_events(std::slice::from_ref(&event))
            .await?;
        Ok((secret, text))
    }

    /// Has the team's webhooks signed with a new secret; the one before signs along for a day.
    pub async fn rotate_webhook_secret(&self, caller: &Caller) -> Result<(WebhookSecret, Secret)> {
        caller.require(Act::ManageSecrets)?;
        let before = self.ports.store.webhook_secret(&caller.team).await?;
        let new = self.new_secret(&caller.team, before.as_ref()).await?;
        let event = self.draft(EventKind::WebhookSecretRotated, caller).done();
        let expected = before.map(|before| before.made_at);
        let store = &self.ports.store;
        if !store.put_webhook_secret(&new, expected, &event).await? {
            return Err(Error::conflict(
                "the secret was changed at the same time: read it again",
            ));
        }
        let text = self.opened(&caller.team, &new.secret).await?;
        Ok((new, text))
    }
}

fn secret_place(team: &TeamId) -> Place<'_> {
    Place {
        team: team.as_str(),
        table: "webhook_secrets",
        row: team.as_str(),
        field: "secret",
    }
}

/// `id.timestamp.body` under the secret's bytes.
fn signature(secret: &Secret, id: &str, at: &str, body: &str) -> Option<String> {
    let key = secret.expose().strip_prefix("whsec_")?;
    let key = Zeroizing::new(STANDARD.decode(key).ok()?);
    let parts = [id, ".", at, ".", body].map(str::as_bytes);
    Some(STANDARD.encode(hmac_sha256(&key, &parts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        let expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed.as_deref(), Some(expected));
        assert_eq!(signature(&Secret::new("plain"), "m", "1", ""), None);
    }
}
