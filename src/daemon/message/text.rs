//! Text from the system in JSON.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Text from the system (an argument, a path, a variable). Bytes that are no UTF-8 become lone surrogates in the JSON,
/// which is what Python's `surrogateescape` turns back into these bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SystemText(pub OsString);

impl<T: AsRef<OsStr> + ?Sized> From<&T> for SystemText {
    fn from(text: &T) -> Self {
        Self(text.as_ref().to_owned())
    }
}

impl SystemText {
    /// Appends it as a JSON string.
    fn quote(&self, json: &mut String) -> serde_json::Result<()> {
        json.push('"');
        for chunk in self.0.as_bytes().utf8_chunks() {
            let quoted = serde_json::to_string(chunk.valid())?;
            json.push_str(&quoted[1..quoted.len() - 1]);
            for byte in chunk.invalid() {
                let _ = write!(json, "\\udc{byte:02x}");
            }
        }
        json.push('"');
        Ok(())
    }
}

impl Serialize for SystemText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;

        if let Some(text) = self.0.to_str() {
            return serializer.serialize_str(text);
        }
        let mut json = String::new();
        self.quote(&mut json).map_err(S::Error::custom)?;
        RawValue::from_string(json)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

/// Environment variables as a JSON object.
#[derive(Clone, Debug)]
pub struct Environment(pub BTreeMap<SystemText, SystemText>);

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;

        let mut json = String::from("{");
        for (name, value) in &self.0 {
            if json.len() > 1 {
                json.push(',');
            }
            name.quote(&mut json).map_err(S::Error::custom)?;
            json.push(':');
            value.quote(&mut json).map_err(S::Error::custom)?;
        }
        json.push('}');
        RawValue::from_string(json)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn current() -> Self {
        let text = |(name, value)| (SystemText(name), SystemText(value));
        Self(std::env::vars_os().map(text).collect())
    }

    /// Takes a variable out; `None` when there is none.
    pub fn remove(&mut self, name: &str) -> Option<OsString> {
        self.0.remove(&SystemText::from(name)).map(|value| value.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_become_lone_surrogates() {
        let text = SystemText(OsString::from_vec(b"a\xff\"\xc3\xa4".to_vec()));
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"a\\udcff\\\"ä\"");
        let plain = SystemText(OsString::from("a\"b"));
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#""a\"b""#);
    }
}
