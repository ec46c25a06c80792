//! The values that templates and JSON output work on: JSON with its key order kept, and a few kinds that Go's templates
//! tell apart. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// What a template sees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// JSON's null, and a key that a map does not have: `<no value>`.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A time as RFC 3339 with `Z`: JSON has it so, templates print Go's form of it.
    Time(String),
    /// A list.
    List(Vec<Value>),
    /// A record: asking for a field that it does not have is an error.
    Record(Vec<(String, Value)>),
    /// A map of the user's own keys, such as labels: asking for another key gives [`Value::Nil`].
    Map(BTreeMap<String, Value>),
    /// A method from a label's key to its value, as `.Label "key"`; `None` stands in a header line and gives the key.
    Label(Option<BTreeMap<String, Value>>),
}

impl Value {
    /// Text.
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// A record of `fields`, in their order.
    pub(crate) fn record(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// A record's field: by its name, or by the same name in another case (`scope` is `.Scope` in Go).
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        let Value::Record(fields) = self else { return None };
        let exact = fields.iter().find(|(key, _)| key == name);
        exact.or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))).map(|(_, value)| value)
    }

    /// The text of a record's field; empty when there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        match self.field(name) {
            Some(Value::Text(text) | Value::Time(text)) => text,
            _ => "",
        }
    }

    /// Whether `{{if}}` takes it: Go's rule, empty is false.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) | Value::Time(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Record(_) | Value::Label(_) => true,
        }
    }

    /// The value as JSON in one line; keys in their own order.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What JSON cannot say is added: `Labels` and `Attributes` are maps of the user's keys, `CreatedAt`, `UpdatedAt` and
    /// `Since` are times.
    pub(crate) fn typed(self) -> Value {
        let field = |(name, value): (String, Value)| {
            let value = match (name.as_str(), value) {
                ("Labels" | "Attributes", Value::Record(keys)) => Value::Map(keys.into_iter().collect()),
                ("CreatedAt" | "UpdatedAt" | "Since", Value::Text(time)) => Value::Time(time),
                (_, value) => value.typed(),
            };
            (name, value)
        };
        match self {
            Value::Record(fields) => Value::Record(fields.into_iter().map(field).collect()),
            Value::List(items) => Value::List(items.into_iter().map(Value::typed).collect()),
            other => other,
        }
    }
}

/// Go's `%v`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("<no value>"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Time(time) => match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
                Some((day, clock)) if clock.contains('.') => {
                    let clock = clock.trim_end_matches('0').trim_end_matches('.');
                    write!(f, "{day} {clock} +0000 UTC")
                }
                Some((day, clock)) => write!(f, "{day} {clock} +0000 UTC"),
                None => f.write_str(time),
            },
            Value::List(items) => {
                let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(" "))
            }
            Value::Record(fields) => {
                let texts: Vec<String> = fields.iter().map(|(_, value)| value.to_string()).collect();
                write!(f, "{{{}}}", texts.join(" "))
            }
            Value::Map(map) => {
                let texts: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                write!(f, "map[{}]", texts.join(" "))
            }
            Value::Label(_) => f.write_str("<label>"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil | Value::Label(_) => serializer.serialize_unit(),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Text(text) | Value::Time(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(map) => serializer.collect_map(map),
            Value::Record(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in fields.iter().filter(|(_, value)| !matches!(value, Value::Label(_))) {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Value::Record(fields))
    }
}
