//! TOML as engines write it, by toml_edit: what is not touched keeps its comments, its order and its spaces.

use toml_edit::{Array, DocumentMut, Item, RawString, Table, TableLike, Value};

use super::error::EditError;

/// Reads `text`.
pub(super) fn read(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|cause: toml_edit::TomlError| EditError::Toml(cause.message().to_owned()))
}

/// The text of `document` with the line ends of `original`, which must read as what the document says.
pub(super) fn write(document: &DocumentMut, original: &str) -> Result<String, EditError> {
    let text = document.to_string().replace("\r\n", "\n");
    let reads = text.parse::<DocumentMut>().is_ok_and(|read| plain(read.as_table()) == plain(document.as_table()));
    if !reads {
        return Err(EditError::Outcome);
    }
    Ok(if original.contains("\r\n") { text.replace('\n', "\r\n") } else { text })
}

/// The table at `path`, if all on the way are tables.
pub(super) fn table<'d>(document: &'d DocumentMut, path: &[&str]) -> Option<&'d dyn TableLike> {
    path.iter().try_fold(document.as_table() as &dyn TableLike, |table, key| table.get(key)?.as_table_like())
}

/// The table at `path`; what is missing is made, and shows in the file only by what is put into it.
pub(super) fn make<'d>(document: &'d mut DocumentMut, path: &[&str]) -> Result<&'d mut dyn TableLike, EditError> {
    let mut table = document.as_table_mut() as &mut dyn TableLike;
    for (depth, key) in path.iter().enumerate() {
        let item = table.entry(key).or_insert_with(|| {
            let mut fresh = Table::new();
            fresh.set_implicit(true);
            Item::Table(fresh)
        });
        let shape = || EditError::Shape { key: path[..=depth].join("."), expected: "a table" };
        table = item.as_table_like_mut().ok_or_else(shape)?;
    }
    Ok(table)
}

/// Takes the member at `path` out; whether it was there.
pub(super) fn remove(document: &mut DocumentMut, path: &[&str]) -> bool {
    let Some((last, way)) = path.split_last() else { return false };
    let mut table = document.as_table_mut() as &mut dyn TableLike;
    for key in way {
        match table.get_mut(key).and_then(Item::as_table_like_mut) {
            Some(inner) => table = inner,
            None => return false,
        }
    }
    table.remove(last).is_some()
}

/// The text at `key` of `table`.
pub(super) fn text<'t>(table: &'t dyn TableLike, key: &str) -> Option<&'t str> {
    table.get(key).and_then(Item::as_str)
}

/// The list of texts at `key` of `table`; none where there is no such key.
pub(super) fn texts(table: &dyn TableLike, key: &str) -> Result<Option<Vec<String>>, EditError> {
    let Some(item) = table.get(key) else { return Ok(None) };
    let shape = || EditError::Shape { key: key.to_owned(), expected: "a list of strings" };
    let list = item.as_array().ok_or_else(shape)?;
    list.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(shape)).collect::<Result<_, _>>().map(Some)
}

/// A list of texts.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> Item {
    Item::Value(Value::Array(Array::from_iter(texts)))
}

/// A copy of `table` as a table of its own: its values without comments, each as far in as it stands there.
pub(super) fn copy(table: &dyn TableLike) -> Table {
    let mut fresh = Table::new();
    for (key, item) in table.iter() {
        let item = match item {
            Item::Value(Value::InlineTable(inner)) => {
                let mut inner = inner.clone();
                inner.fmt();
                Item::Value(Value::InlineTable(inner))
            }
            Item::Value(value) => Item::Value(value.clone().decorated(" ", "")),
            Item::Table(inner) => Item::Table(copy(inner)),
            other => other.clone(),
        };
        fresh.insert(key, item);
        let lead = table.key(key).map(|key| last_line(key.leaf_decor().prefix())).unwrap_or_default();
        if let Some(mut key) = fresh.key_mut(key).filter(|_| !lead.is_empty()) {
            key.leaf_decor_mut().set_prefix(lead);
        }
    }
    fresh
}

/// How far in the header of `item` stands.
pub(super) fn header_lead(item: &Item) -> String {
    item.as_table().map(|table| last_line(table.decor().prefix())).unwrap_or_default()
}

/// How far in the first value of `table` stands.
pub(super) fn value_lead(table: &dyn TableLike) -> String {
    let first = table.iter().find(|(_, item)| item.is_value()).and_then(|(key, _)| table.key(key));
    first.map(|key| last_line(key.leaf_decor().prefix())).unwrap_or_default()
}

fn last_line(prefix: Option<&RawString>) -> String {
    let text = prefix.and_then(RawString::as_str).unwrap_or_default();
    text.rsplit('\n').next().filter(|line| line.trim().is_empty()).unwrap_or_default().to_owned()
}

/// What a table says, whatever it looks like: keys in their order of the alphabet, tables and inline tables alike.
pub(super) fn plain(table: &dyn TableLike) -> String {
    let mut members: Vec<String> = table
        .iter()
        .filter(|(_, item)| !is_empty(item))
        .map(|(key, item)| format!("{key:?}={}", plain_item(item)))
        .collect();
    members.sort_unstable();
    format!("{{{}}}", members.join(","))
}

/// A table that was made on the way, and nothing put into it, shows nowhere.
fn is_empty(item: &Item) -> bool {
    item.is_none()
        || item.as_table().is_some_and(|table| table.is_implicit() && table.iter().all(|(_, item)| is_empty(item)))
}

fn plain_item(item: &Item) -> String {
    match item {
        Item::ArrayOfTables(tables) => {
            let tables: Vec<String> = tables.iter().map(|table| plain(table)).collect();
            format!("[{}]", tables.join(","))
        }
        Item::Value(value) => plain_value(value),
        Item::Table(table) => plain(table),
        Item::None => String::new(),
    }
}

fn plain_value(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(plain_value).collect::<Vec<_>>().join(",")),
        Value::InlineTable(table) => plain(table),
        Value::String(text) => format!("{:?}", text.value()),
        other => other.to_string().trim().to_owned(),
    }
}
