//! How answers are shown: tables, templates, JSON, times, in Docker's shapes. Pure: text in, text out.

mod inspect;
mod listing;
mod natural;
mod table;
mod time;

pub(crate) use inspect::{inspected, pretty};
pub(crate) use listing::{Columns, listed};
pub(crate) use natural::compare as natural_order;
pub(crate) use table::aligned;
pub(crate) use time::{ago, as_unix, is_later, now, rfc3339};
