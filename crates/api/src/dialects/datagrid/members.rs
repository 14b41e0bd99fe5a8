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
    let (role, words) = map::permissions(permissions, Words::new());
    let new = NewInvite {
        email: call.body.take_text("email").unwrap_or_default(),
        role,
        words,
    };
    let made = call.engine.create_invite(call.caller()?, new).await?;
    answer::created(&wire::Invitation::from(made))
}

pub async fn invites(call: Call) -> Result<Response> {
    let call = &call;
    let caller = call.caller()?;
    let asked = Asked::of(&call.query);
    let page = asked.by_time(call, Listed::Invites).await?;
    asked
        .answer(page, |page| async move {
            let found = call.engine.invites(caller, &page).await?;
            Ok(found.map(|row| Some(wire::Invitation::from(row))))
        })
        .await
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
    let call = &call;
    let caller = call.caller()?;
    let search = search(&call.query);
    let asked = Asked::of(&call.query);
    asked
        .answer(Some(asked.by_id()), |page| async move {
            let found = call.engine.members(caller, search, &page).await?;
            Ok(found.map(|row| Some(member(row))))
        })
        .await
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
    let body = std::mem::take(&mut call.body);
    let (caller, user) = (call.caller()?, call.path("user"));
    // Only who is in it has a role to change: others are invited.
    let found = call.engine.member(caller, user).await?;
    let (role, words) = map::permissions(body, found.words);
    let changed = call
        .engine
        .put_member(caller, found.user.id.as_str(), role, words)
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
    let call = &call;
    let steward = call.steward()?;
    let filter = UserFilter {
        search: search(&call.query).map(str::to_owned),
        by_id: true,
        ..UserFilter::default()
    };
    let asked = Asked::of(&call.query);
    let filter = &filter;
    asked
        .answer(Some(asked.by_id()), |page| async move {
            let found = call
                .engine
                .users_with_places(steward, filter, &page)
                .await?;
            Ok(found.map(|(user, places)| Some(of_organization(user, &places))))
        })
        .await
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
