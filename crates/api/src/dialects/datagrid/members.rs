//! People: of a teamspace, of the organization, and those who are invited.

use axum::response::Response;
use grantry_core::Result;
use grantry_core::ids::InviteId;
use grantry_core::nouns::{Membership, Role, User, Words};
use grantry_core::store::{Listed, Member, UserFilter};
use grantry_engine::NewInvite;

use super::page::Asked;
use super::{map, wire};
use crate::kit::answer;
use crate::kit::call::Call;
use crate::kit::fields::Fields;

pub async fn invite(mut call: Call) -> Result<Response> {
    let permissions = call.body.take_object("permissions").unwrap_or_default();
    let (role, words) = map::permissions(permissions);
    let new = NewInvite {
        email: call.body.take_text("email").unwrap_or_default(),
        role,
        words,
    };
    let made = call.engine.create_invite(call.caller()?, new).await?;
    answer::created(&wire::Invitation::from(made))
}

pub async fn invites(call: Call) -> Result<Response> {
    let caller = call.caller()?;
    let asked = Asked::of(&call.query);
    let page = asked.by_time(&call, Listed::Invites).await?;
    let mut rows = asked.rows(page);
    while let Some(page) = rows.wanted() {
        let found = call.engine.invites(caller, &page).await?;
        let shown = found.data.into_iter().map(wire::Invitation::from);
        rows.add(page, shown, found.next);
    }
    rows.answer()
}

pub async fn invitation(call: Call) -> Result<Response> {
    let id = InviteId::from(call.path("invite"));
    let found = call.engine.invite(call.caller()?, &id).await?;
    answer::ok(&wire::Invitation::from(found))
}

pub async fn take_back(call: Call) -> Result<Response> {
    let id = InviteId::from(call.path("invite"));
    call.engine.delete_invite(call.caller()?, &id).await?;
    answer::nothing()
}

fn member(row: Member) -> wire::Person {
    wire::Person::of(row.user, map::word_of(row.role), &row.words)
}

pub async fn list(call: Call) -> Result<Response> {
    let caller = call.caller()?;
    let search = search(&call.query);
    let asked = Asked::of(&call.query);
    let mut rows = asked.rows(Some(asked.by_id()));
    while let Some(page) = rows.wanted() {
        let found = call.engine.members(caller, search, &page).await?;
        let shown = found.data.into_iter().map(member);
        rows.add(page, shown, found.next);
    }
    rows.answer()
}

fn search(query: &Fields) -> Option<&str> {
    query.text("search").filter(|text| !text.is_empty())
}

pub async fn get(call: Call) -> Result<Response> {
    let found = call
        .engine
        .member(call.caller()?, call.path("user"))
        .await?;
    answer::ok(&member(found))
}

pub async fn update(mut call: Call) -> Result<Response> {
    let (role, words) = map::permissions(std::mem::take(&mut call.body));
    let (caller, user) = (call.caller()?, call.path("user"));
    // Only who is in it has a role to change: others are invited.
    let found = call.engine.member(caller, user).await?.user;
    let changed = call
        .engine
        .put_member(caller, found.id.as_str(), role, words)
        .await?;
    answer::ok(&member(changed))
}

pub async fn remove(call: Call) -> Result<Response> {
    call.engine
        .remove_member(call.caller()?, call.path("user"))
        .await?;
    answer::nothing()
}

fn of_organization(user: User, places: &[Membership]) -> wire::Person {
    wire::Person::of(user, map::organization_word(places), &Words::new())
}

pub async fn people(call: Call) -> Result<Response> {
    let steward = call.steward()?;
    let filter = UserFilter {
        search: search(&call.query).map(str::to_owned),
        ..UserFilter::default()
    };
    let asked = Asked::of(&call.query);
    // They are in the order of their mail addresses.
    let page = match asked.cursor() {
        None => Some(asked.at(None)),
        Some(id) => match call.engine.user(steward, id).await {
            Ok((user, _)) => Some(asked.at(Some((user.email, user.id.to_string())))),
            Err(grantry_core::Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        },
    };
    let mut rows = asked.rows(page);
    while let Some(page) = rows.wanted() {
        let found = call.engine.users(steward, &filter, &page).await?;
        let mut shown = Vec::with_capacity(found.data.len());
        for row in found.data {
            let (user, places) = call.engine.user(steward, row.id.as_str()).await?;
            shown.push(of_organization(user, &places));
        }
        rows.add(page, shown, found.next);
    }
    rows.answer()
}

pub async fn person(call: Call) -> Result<Response> {
    let (user, places) = call.engine.user(call.steward()?, call.path("user")).await?;
    answer::ok(&of_organization(user, &places))
}

pub async fn promote(call: Call) -> Result<Response> {
    let role = match call.body.text("role") {
        Some("admin") => Role::Admin,
        _ => Role::Member,
    };
    let (user, places) = call
        .engine
        .set_user_role(call.steward()?, call.path("user"), role)
        .await?;
    answer::ok(&of_organization(user, &places))
}
