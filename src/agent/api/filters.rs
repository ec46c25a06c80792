//! Docker's `filters=` parameter, in both of its JSON forms. It says what was asked; it selects nothing itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::ApiError;

/// Filters by name: each with the values of which one must hold.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// Reads the parameter; no text is no filter.
    ///
    /// # Errors
    /// [`ApiError::FilterForm`].
    pub fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let filters: BTreeMap<String, Values> = serde_json::from_str(text).map_err(|_| ApiError::FilterForm)?;
        let values = |values| match values {
            Values::List(list) => list,
            Values::Set(set) => set.into_iter().filter_map(|(value, on)| on.then_some(value)).collect(),
        };
        Ok(Self(filters.into_iter().map(|(name, given)| (name, values(given))).collect()))
    }

    /// Refuses every filter that is not one of `known`.
    ///
    /// # Errors
    /// [`ApiError::Filter`], in Docker's words.
    pub fn only(self, known: &[&str]) -> Result<Self, ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(ApiError::Filter(name.clone())),
            None => Ok(self),
        }
    }

    /// Whether the filter `name` is absent or `holds` for one of its values.
    pub fn any(&self, name: &str, holds: impl FnMut(&String) -> bool) -> bool {
        self.0.get(name).is_none_or(|values| values.is_empty() || values.iter().any(holds))
    }

    /// Whether the filter `name` is absent or `holds` for all of its values.
    pub fn all(&self, name: &str, holds: impl FnMut(&String) -> bool) -> bool {
        self.0.get(name).is_none_or(|values| values.iter().all(holds))
    }

    /// The names of the filters that are given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        for text in [r#"{"name":["x"]}"#, r#"{"name":{"x":true,"y":false}}"#] {
            let filters = Filters::parse(Some(text)).unwrap();
            assert!(filters.any("name", |value| value == "x"), "{text}");
            assert!(!filters.any("name", |value| value == "y"), "{text}");
            assert!(filters.any("id", |_| false), "{text}");
        }
    }

    #[test]
    fn unknown_and_malformed_filters_are_refused() {
        let unknown = Filters::parse(Some(r#"{"foo":["x"]}"#)).unwrap().only(&["name"]).unwrap_err();
        assert_eq!(unknown.to_string(), "invalid filter 'foo'");
        for text in ["[]", "{", "{\"name\":1}", "x"] {
            assert!(matches!(Filters::parse(Some(text)), Err(ApiError::FilterForm)), "{text}");
        }
    }
}
