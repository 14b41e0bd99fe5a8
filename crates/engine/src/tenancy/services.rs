//! The catalogue of services, as its readers and its operator see it.

use grantry_core::nouns::{EventKind, Service};
use grantry_core::store::Page;
use grantry_core::{Error, Result};
use serde_json::{Map, Value};

use super::checks::Checks;
use crate::apply::{Shape, checked_service};
use crate::lists::cut;
use crate::permissions::Act;
use crate::{CursorPage, Engine, Principal, Steward, catalogue};

/// A row of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceView {
    /// Its id.
    pub id: String,
    /// What is known of it: the built-in row with this server's own fields laid over it.
    pub data: Map<String, Value>,
    /// Whether it comes with the binary.
    pub built_in: bool,
    /// This server's own fields.
    pub own: Option<Map<String, Value>>,
}

impl ServiceView {
    fn of(overlays: &[Service], id: &str) -> Option<Self> {
        let row = catalogue::row_of(overlays, id)?;
        let own = overlays.iter().find(|overlay| overlay.id == id);
        Some(Self {
            id: row.id,
            data: row.data,
            built_in: catalogue::is_built_in(id),
            own: own.map(|overlay| overlay.data.clone()),
        })
    }

    fn has(&self, text: &str) -> bool {
        let mut texts = vec![self.id.as_str()];
        texts.extend(self.data.get("name").and_then(Value::as_str));
        let categories = self.data.get("categories").and_then(Value::as_array);
        texts.extend(categories.into_iter().flatten().filter_map(Value::as_str));
        let text = text.to_ascii_lowercase();
        texts
            .iter()
            .any(|one| one.to_ascii_lowercase().contains(&text))
    }
}

impl Engine {
    /// The catalogue, by id; with `search`, the rows with that text in id, name or category.
    pub async fn services(
        &self,
        principal: &Principal,
        search: Option<&str>,
        page: &Page,
    ) -> Result<CursorPage<ServiceView>> {
        principal.require(Act::ReadCatalogue)?;
        let overlays = self.ports.store.services().await?;
        let place = page.after.as_ref().map(|(_, id)| id.as_str());
        let mut ids: Vec<_> = catalogue::ids(&overlays).into_iter().collect();
        if page.oldest_first {
            ids.reverse();
        }
        let behind = |id: &str| {
            place.is_none_or(|place| match page.oldest_first {
                true => id < place,
                false => id > place,
            })
        };
        let rows = ids
            .into_iter()
            .filter(|id| behind(id))
            .filter_map(|id| ServiceView::of(&overlays, id))
            .filter(|row| search.is_none_or(|text| row.has(text)))
            .take(page.limit as usize + 1)
            .collect();
        Ok(cut(rows, page, |row: &ServiceView| {
            (row.id.clone(), row.id.clone())
        }))
    }

    /// One row of the catalogue.
    pub async fn read_service(&self, principal: &Principal, id: &str) -> Result<ServiceView> {
        principal.require(Act::ReadCatalogue)?;
        let overlays = self.ports.store.services().await?;
        ServiceView::of(&overlays, id).ok_or(Error::NotFound("service"))
    }

    /// Gives the catalogue a row of this server's own, or lays its fields over the built-in one; earlier ones of
    /// this server's go. The fields are those of `[[services]]` in the apply file.
    pub async fn put_service(
        &self,
        steward: &Steward,
        id: &str,
        data: Map<String, Value>,
    ) -> Result<ServiceView> {
        steward.require(Act::ManageServer)?;
        let mut checks = Checks::default();
        checks.text("service", &Shape::Id, Some(id));
        checks.done()?;
        let service = Service {
            id: id.to_owned(),
            data: checked_service(data).map_err(Error::Invalid)?,
        };
        let event = self
            .steward_draft(EventKind::ServicePut, steward)
            .with("service", id)
            .done();
        let put = self.ports.store.put_service(&service, &event).await;
        self.caches.catalogue.clear();
        put?;
        let overlays = self.ports.store.services().await?;
        ServiceView::of(&overlays, id).ok_or(Error::NotFound("service"))
    }

    /// Takes this server's own fields of a service away; a built-in row is as it was. [`Error::NotFound`] when
    /// there are none.
    pub async fn delete_service(&self, steward: &Steward, id: &str) -> Result<()> {
        steward.require(Act::ManageServer)?;
        let event = self
            .steward_draft(EventKind::ServiceDeleted, steward)
            .with("service", id)
            .done();
        let deleted = self.ports.store.delete_service(id, &event).await;
        self.caches.catalogue.clear();
        Ok(deleted?)
    }
}
