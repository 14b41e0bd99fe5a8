//! What a body or a query may hold: a table of rows that checks it, reads it and documents it.
//!
//! [`check`] reports every wrong field at once, by the path that the caller wrote. What passed the check
//! is read by name from [`Fields`].

use grantry_core::limits::ITEMS_MAX;
use grantry_core::{Error, Problem, Result, Timestamp};
use serde_json::{Map, Value};

/// One field.
#[derive(Clone, Copy)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// For people.
    pub about: &'static str,
}

/// What a field holds. `null` is the same as absence, unless a handler asks ([`Fields::take_change`]).
#[derive(Clone, Copy)]
pub enum Shape {
    /// Text of at most so many bytes, without control characters.
    Text(usize),
    /// The same, but not empty: where an empty text would read as none, and none as all.
    Filled(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An instant as RFC 3339 writes it.
    Time,
    /// `true` or `false`.
    Bool,
    /// `true`, `false` or `{"enabled": …}`: the two spellings of `triggers` (reference/vercel-connect A1).
    Switch,
    /// A whole number between these, in decimal digits where it comes in a query.
    Integer(i64, i64),
    /// The same from clients whose numbers all have a fraction: `1.0` is 1.
    Whole(i64, i64),
    /// At most [`ITEMS_MAX`] texts of at most so many bytes each.
    Texts(usize),
    /// An object with these fields only.
    Object(&'static [Field]),
    /// The same where its `type` is one of these words. What has another `type` is its handler's to refuse.
    Typed(&'static [Field], &'static [&'static str]),
    /// At most [`ITEMS_MAX`] objects with these fields only.
    Objects(&'static [Field]),
    /// Text of 1 to so many bytes, whatever is in it.
    Lines(usize),
    /// Text of at most so many bytes, whatever is in it.
    Prose(usize),
    /// An object that the engine checks, or that is only kept.
    Free,
    /// Whatever it is; it is only kept.
    Any,
    /// At most [`ITEMS_MAX`] such objects.
    FreeList,
}

/// A field that may be left out.
pub const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        shape,
        required: false,
        about,
    }
}

/// A field that must be there.
pub const fn required(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        shape,
        required: true,
        about,
    }
}

/// A checked object. Fields that its table does not have read as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Map<String, Value>);

/// Checks a body against its rows.
pub fn check(rows: &[Field], body: Map<String, Value>) -> Result<Fields> {
    let mut problems = Vec::new();
    object(rows, &body, "", &mut problems);
    if problems.is_empty() {
        Ok(Fields(body))
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Checks a query against its rows. Parameters that have no row are left alone: clients add their own.
pub fn check_query(rows: &[Field], mut query: Fields) -> Result<Fields> {
    let mut problems = Vec::new();
    for row in rows {
        let Some(value) = query.0.get_mut(row.name) else {
            if row.required {
                problems.push(Problem::new(row.name, "is required"));
            }
            continue;
        };
        let typed = match (&row.shape, value.as_str()) {
            (Shape::Integer(..), Some(text)) => text.parse::<i64>().ok().map(Value::from),
            (Shape::Whole(..), Some(text)) => whole(text).map(Value::from),
            (Shape::Bool, Some(text)) => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        };
        if let Some(typed) = typed {
            *value = typed;
        }
        if let Some(complaint) = row.shape.complaint(value, row.name, &mut problems) {
            problems.push(Problem::new(row.name, complaint));
        }
    }
    if problems.is_empty() {
        Ok(query)
    } else {
        Err(Error::Invalid(problems))
    }
}

/// Refuses parameters of a query that are neither in `rows` nor in `others`. What changes something must
/// not be asked with a word that is overlooked: `dryrun` for `dry_run`.
pub fn refuse_unknown(rows: &[Field], others: &[&str], query: &Fields) -> Result<()> {
    let known: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let unknown = query
        .0
        .keys()
        .filter(|name| !known.contains(&name.as_str()) && !others.contains(&name.as_str()));
    let problem = |name: &String| {
        let all = [&known[..], others].concat().join(", ");
        let message = format!("is not a known parameter; known are {all}");
        Problem::new(name.chars().take(64).collect::<String>(), message)
    };
    let problems: Vec<Problem> = unknown.map(problem).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid(problems)),
    }
}

fn object(rows: &[Field], object: &Map<String, Value>, path: &str, problems: &mut Vec<Problem>) {
    let at = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    for name in object.keys() {
        if !rows.iter().any(|row| row.name == name) {
            let known: Vec<&str> = rows.iter().map(|row| row.name).collect();
            let known = known.join(", ");
            problems.push(Problem::new(
                // The name is the caller's text: cut, so that an answer stays readable.
                at(&name.chars().take(64).collect::<String>()),
                match known.as_str() {
                    "" => "is not a known field; none is".to_owned(),
                    known => format!("is not a known field; known are {known}"),
                },
            ));
        }
    }
    for row in rows {
        match object.get(row.name).filter(|value| !value.is_null()) {
            Some(value) => {
                let found = problems.len();
                let complaint = row.shape.complaint(value, row.name, problems);
                for problem in &mut problems[found..] {
                    problem.field = at(&problem.field);
                }
                if let Some(complaint) = complaint {
                    problems.push(Problem::new(at(row.name), complaint));
                }
            }
            None if row.required => problems.push(Problem::new(at(row.name), "is required")),
            None => {}
        }
    }
}

impl Shape {
    /// What is wrong with `value` as a whole; what is wrong inside it goes to `problems`, from `name` down.
    fn complaint(&self, value: &Value, name: &str, problems: &mut Vec<Problem>) -> Option<String> {
        match (self, value) {
            (Self::Filled(_), Value::String(text)) if text.is_empty() => {
                Some("must not be empty".to_owned())
            }
            (Self::Text(max) | Self::Filled(max), Value::String(text)) => {
                text_complaint(text, *max)
            }
            (Self::Word(words), Value::String(word)) if words.contains(&word.as_str()) => None,
            (Self::Time, Value::String(text)) if instant(text).is_some() => None,
            (Self::Bool | Self::Switch, Value::Bool(_))
            | (Self::Free, Value::Object(_))
            | (Self::Any, _) => None,
            (Self::Switch, Value::Object(inner)) => {
                object(SWITCH, inner, name, problems);
                None
            }
            (Self::Typed(_, words), Value::Object(inner))
                if inner
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|word| !word.is_empty() && !words.contains(&word)) =>
            {
                None
            }
            (Self::Object(rows) | Self::Typed(rows, _), Value::Object(inner)) => {
                object(rows, inner, name, problems);
                None
            }
            (Self::Integer(least, most) | Self::Whole(least, most), Value::Number(number))
                if number
                    .as_i64()
                    .is_some_and(|n| (*least..=*most).contains(&n)) =>
            {
                None
            }
            (Self::Lines(max), Value::String(text)) => {
                let fits = (1..=*max).contains(&text.len());
                (!fits).then(|| format!("must be 1 to {max} bytes"))
            }
            (Self::Prose(max), Value::String(text)) => {
                (text.len() > *max).then(|| format!("must be at most {max} bytes"))
            }
            (Self::Texts(_) | Self::FreeList | Self::Objects(_), Value::Array(items))
                if items.len() > ITEMS_MAX =>
            {
                Some(format!("must have at most {ITEMS_MAX} items"))
            }
            (Self::Texts(max), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(complaint) = Self::Text(*max).complaint(item, name, problems) {
                        problems.push(Problem::new(format!("{name}[{index}]"), complaint));
                    }
                }
                None
            }
            (Self::Objects(rows), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let name = format!("{name}[{index}]");
                    if let Some(complaint) = Self::Object(rows).complaint(item, &name, problems) {
                        problems.push(Problem::new(name, complaint));
                    }
                }
                None
            }
            (Self::FreeList, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if !item.is_object() {
                        problems.push(Problem::new(
                            format!("{name}[{index}]"),
                            "must be an object",
                        ));
                    }
                }
                None
            }
            _ => Some(self.expectation()),
        }
    }

    fn expectation(&self) -> String {
        match self {
            Self::Text(_) | Self::Filled(_) | Self::Lines(_) | Self::Prose(_) => {
                "must be a string".to_owned()
            }
            Self::Word(words) => format!("must be one of {}", words.join(", ")),
            Self::Time => "must be an RFC 3339 time such as 2030-01-01T00:00:00Z".to_owned(),
            Self::Bool => "must be true or false".to_owned(),
            Self::Switch => "must be true, false or {\"enabled\": true or false}".to_owned(),
            Self::Integer(least, i64::MAX) | Self::Whole(least, i64::MAX) => {
                format!("must be a whole number from {least}")
            }
            Self::Integer(least, most) | Self::Whole(least, most) => {
                format!("must be a whole number from {least} to {most}")
            }
            Self::Texts(_) => "must be a list of strings".to_owned(),
            Self::Object(_) | Self::Typed(..) | Self::Free => "must be an object".to_owned(),
            Self::FreeList | Self::Objects(_) => "must be a list of objects".to_owned(),
            Self::Any => "must be JSON".to_owned(),
        }
    }
}

/// The long form of [`Shape::Switch`].
pub const SWITCH: &[Field] = &[required("enabled", Shape::Bool, "Whether it is on.")];

/// A whole number in decimal digits, with a fraction of zeroes or without.
fn whole(text: &str) -> Option<i64> {
    let (number, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let nothing = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    number.parse().ok().filter(|_| nothing)
}

/// `body` without the fields that `rows` do not have, for clients that send more than their API knows.
pub fn known(rows: &[Field], body: &mut Map<String, Value>) {
    body.retain(
        |name, value| match rows.iter().find(|row| row.name == name) {
            None => false,
            Some(row) => {
                if let (Shape::Object(rows), Value::Object(inner)) = (row.shape, value) {
                    known(rows, inner);
                }
                true
            }
        },
    );
}

fn instant(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(instant.as_microsecond()))
}

fn text_complaint(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() > bytes_max {
        Some(format!("must be at most {bytes_max} bytes"))
    } else if text.chars().any(char::is_control) {
        Some("must not contain control characters".to_owned())
    } else {
        None
    }
}

impl Fields {
    /// The parameters of a query string, all of them texts. Of a parameter given twice the last one counts.
    pub fn of_query(query: &str) -> Self {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
                .collect(),
        )
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// A number of milliseconds or the like, which is never negative.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// An instant.
    pub fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name).and_then(instant)
    }

    /// Whether `null` was sent, where that means to take a value away.
    pub fn cleared(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    /// Takes out what a text shall become: another one, or, where `null` or an empty one was sent, none.
    pub fn take_change(&mut self, name: &str) -> Option<Option<String>> {
        match self.0.get_mut(name).map(Value::take)? {
            Value::String(text) => Some(present(Some(text))),
            Value::Null => Some(None),
            _ => None,
        }
    }

    /// A copy of everything that was sent but these fields: what may be given back.
    pub fn without(&self, names: &[&str]) -> Map<String, Value> {
        let kept =
            |(name, value): &(&String, &Value)| !names.contains(&name.as_str()) && !value.is_null();
        let rest = self.0.iter().filter(kept);
        rest.map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Takes out whatever it is.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.get_mut(name).map(Value::take)
    }

    /// A truth value; a [`Shape::Switch`] in either spelling.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.0.get(name)? {
            Value::Bool(flag) => Some(*flag),
            Value::Object(long) => long.get("enabled").and_then(Value::as_bool),
            _ => None,
        }
    }

    /// Takes a text out.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        match self.0.get_mut(name).map(Value::take) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Takes a list of texts out; `None` when it was not sent.
    pub fn take_texts(&mut self, name: &str) -> Option<Vec<String>> {
        let text = |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        };
        Some(self.take_list(name)?.into_iter().filter_map(text).collect())
    }

    /// Takes a list out; `None` when it was not sent.
    pub fn take_list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.0.get_mut(name).map(Value::take) {
            Some(Value::Array(items)) => Some(items),
            _ => None,
        }
    }

    /// Takes a list of objects with a table of their own out; `None` when it was not sent.
    pub fn take_objects(&mut self, name: &str) -> Option<Vec<Self>> {
        let object = |item| match item {
            Value::Object(map) => Some(Self(map)),
            _ => None,
        };
        let items = self.take_list(name)?;
        Some(items.into_iter().filter_map(object).collect())
    }

    /// Takes an object with a table of its own out.
    pub fn take_object(&mut self, name: &str) -> Option<Self> {
        self.take_map(name).map(Self)
    }

    /// Takes a free object out.
    pub fn take_map(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.0.get_mut(name).map(Value::take) {
            Some(Value::Object(map)) => Some(map),
            _ => None,
        }
    }
}

/// An empty text is an absent one.
pub fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
