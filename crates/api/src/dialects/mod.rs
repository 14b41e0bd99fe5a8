//! The APIs of other vendors, each a translation: `wire` is its JSON, `map` leads to the engine and
//! back, `error` answers every core error, `routes` is its part of the route table.

pub mod cohere;
pub mod datagrid;
pub mod sequin;
pub mod vercel;
