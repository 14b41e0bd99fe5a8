//! What a change of a connector means for its client, and what the server of that is told.

use grantry_core::nouns::Connector;
use grantry_core::{Error, Result};
use grantry_oauth::register::RegistrationError;

use super::describe::{News, carry, news, registered};
use super::keep::note_asking;
use super::{Enrolment, Unenrolled, Want};
use crate::Engine;

impl Engine {
    /// Enrols the connector as it is to be, where that takes a client, and tells the server of the one that stands what is
    /// said of it otherwise (RFC 7592 §2.2). That stays what it is, whatever its server answers.
    pub(in crate::connectors) async fn changed_enrolment(
        &self,
        stored: &Connector,
        connector: &mut Connector,
        incomplete: bool,
    ) -> Result<Option<Enrolment>> {
        carry(stored, connector).map_err(|problem| Error::Invalid(vec![problem]))?;
        if incomplete {
            return Ok(None);
        }
        let enrolment = match registered(connector) {
            None => self.enrolment_of(connector).await?,
            Some(client) => match news(client, stored, connector) {
                Some(news) if self.want(connector) == Some(Want::Word) => {
                    self.tell_server(connector, news).await?
                }
                _ => None,
            },
        };
        if let Some(enrolment) = &enrolment {
            self.enrolled_with(connector, enrolment).await?;
        }
        Ok(enrolment)
    }

    /// Tells the server of a client what is said of it otherwise. One that does not answer is told when the connector is
    /// used.
    async fn tell_server(
        &self,
        connector: &mut Connector,
        news: News,
    ) -> Result<Option<Enrolment>> {
        let why = match self.enrol(connector).await {
            Ok(enrolment) => return Ok(Some(enrolment)),
            Err(why) => why,
        };
        let field = match news {
            News::Description => "data",
            News::Needed(field) => field,
        };
        let said = why.is_said();
        let error = match why {
            Unenrolled::Registration(error) => error,
            other => return Err(other.of_caller()),
        };
        if matches!(error, RegistrationError::Refused { .. }) {
            let message = format!("is not taken by the authorization server: {error}");
            return Err(Error::invalid(field, message));
        }
        if said && let Some(problem) = news.problem() {
            return Err(Error::Invalid(vec![problem]));
        }
        tracing::warn!(connector = %connector.id, %error, "a change could not be told to the server of a registered client");
        let now = self.now();
        if let Some(registration) = &mut connector.registration {
            note_asking(registration, now);
            let client = registration.client.as_mut();
            client.into_iter().for_each(|client| client.untold = !said);
        }
        Ok(None)
    }
}
