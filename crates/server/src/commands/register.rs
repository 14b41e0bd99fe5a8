//! `grantry connectors register`: a connector of which only the service is known at first.

use std::path::PathBuf;

use grantry_core::http::Method;
use serde_json::{Map, Value, json};

use super::list::{self, Page, Rows};
use super::target::{object, read_object, secret_in};
use crate::client::{Client, Content, segment};
use crate::failure::Failure;
use crate::out::{self, Form};

#[derive(clap::Args)]
pub struct Register {
    /// The service of the catalogue, or the URL of a server
    #[arg(required_unless_present_any = ["complete", "status", "cancel", "list"])]
    service: Option<String>,
    /// For people [default: the project's name]
    #[arg(long)]
    name: Option<String>,
    /// By which of the service's ways [default: its first]
    #[arg(long, value_name = "METHOD")]
    connection_method: Option<String>,
    /// Let this project use it, by id or name
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// The host name of your own GitHub Enterprise Server [default: github.com]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Take in provider events
    #[arg(long)]
    triggers: bool,
    /// An event wanted
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Finish this setup with what was registered at the service, without a browser
    #[arg(long, value_name = "SETUP", conflicts_with_all = ["service", "status", "cancel"])]
    complete: Option<String>,
    /// Say how far this setup has come
    #[arg(long, value_name = "SETUP", conflicts_with_all = ["service", "cancel"])]
    status: Option<String>,
    /// Call this setup off, by its id or its connector's
    #[arg(long, value_name = "SETUP", conflicts_with = "service")]
    cancel: Option<String>,
    /// Those that wait to be registered
    #[arg(long, conflicts_with_all = ["service", "complete", "status", "cancel"])]
    list: bool,
    #[command(flatten)]
    page: Page,
    /// The client id that the service gave you
    #[arg(long, requires = "complete")]
    client_id: Option<String>,
    /// The environment variable that holds the client secret
    #[arg(long, value_name = "VAR", requires = "complete")]
    client_secret_env: Option<String>,
    /// Further data of the type, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object, requires = "complete")]
    data: Option<Map<String, Value>>,
    /// The data as JSON; flags go before it. `-` is standard input
    #[arg(long, short, value_name = "FILE", requires = "complete")]
    file: Option<PathBuf>,
}

/// Setups that wait, without their links.
const OPEN: Rows<5> = Rows {
    path: "/setups",
    columns: [
        list::id("CONNECTOR", &["/connector"]),
        list::text("SERVICE", &["/service"]),
        list::text("NAME", &["/name"]),
        list::text("ASKED BY", &["/requested_by/id", "/requested_by/type"]),
        list::time("EXPIRES", &["/expires_at"]),
    ],
    none: "No connector waits to be registered.",
};

impl Register {
    /// Does what was asked.
    pub async fn run(self, client: &Client, form: Form) -> Result<(), Failure> {
        if self.list {
            return OPEN.list(client, &[], &self.page, form).await;
        }
        let at = |id: &str| format!("/setups/{}", segment(id));
        let answer = match (&self.complete, &self.status, &self.cancel) {
            (Some(id), _, _) => {
                let path = format!("{}/complete", at(id));
                let body = Content::Json(json!({ "data": self.filling()? }));
                client.demand(Method::Post, &path, &[], body).await?
            }
            (_, Some(id), _) => {
                client
                    .demand(Method::Get, &at(id), &[], Content::None)
                    .await?
            }
            (_, _, Some(id)) => {
                client
                    .demand(Method::Delete, &at(id), &[], Content::None)
                    .await?;
                out::note("The setup is called off.");
                return Ok(());
            }
            _ => {
                let body = Content::Json(self.ask());
                client.demand(Method::Post, "/setups", &[], body).await?
            }
        };
        if form == Form::People && answer["status"] == "pending" {
            let url = answer["url"].as_str().unwrap_or_default();
            out::note(&format!("Register it here: {url}"));
        }
        list::print_row(&answer, form);
        Ok(())
    }

    /// What is asked for.
    fn ask(&self) -> Value {
        let mut body = json!({ "service": self.service });
        let texts = [
            ("name", &self.name),
            ("connection_method", &self.connection_method),
            ("project", &self.project),
            ("host", &self.host),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                body[field] = text.as_str().into();
            }
        }
        if self.triggers {
            body["triggers"] = true.into();
        }
        if !self.events.is_empty() {
            body["events"] = json!(self.events);
        }
        body
    }

    /// What it lacked: what the file says, and before it the flags.
    fn filling(&self) -> Result<Map<String, Value>, Failure> {
        let mut data = match &self.file {
            Some(path) => read_object(path)?,
            None => Map::new(),
        };
        data.extend(self.data.clone().unwrap_or_default());
        if let Some(id) = &self.client_id {
            data.insert("clientId".to_owned(), id.as_str().into());
        }
        if let Some(name) = &self.client_secret_env {
            let secret = secret_in(name)?;
            data.insert("clientSecret".to_owned(), secret.expose().into());
        }
        Ok(data)
    }
}
