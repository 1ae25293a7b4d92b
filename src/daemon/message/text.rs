//! Text from the system in JSON.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// Text from the system (an argument, a path, a variable). Bytes that are no UTF-8 become lone
/// surrogates in the JSON, which is what Python's `surrogateescape` turns back into these bytes.
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

/// Variables that differ between two shells and change nothing that a test run reads;
/// `process.takeover.NOISE` has the same ones.
const NOISE: [&str; 12] = [
    "SHLVL",
    "_",
    "OLDPWD",
    "WINDOWID",
    "TERM_SESSION_ID",
    "SHELL_SESSION_ID",
    "TMUX_PANE",
    "STY",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "LINES",
];

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

    /// Equal for two environments in which a session is the same: a hash of all variables but those
    /// of [`NOISE`].
    #[must_use]
    pub fn key(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            if NOISE.iter().any(|noise| name.0 == *noise) {
                continue;
            }
            for text in [name, value] {
                let bytes = text.0.as_bytes();
                // With its length: neighbouring texts must not run into each other.
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            }
        }
        let mut key = String::new();
        for byte in hash.finalize() {
            let _ = write!(key, "{byte:02x}");
        }
        key
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
    fn noise_is_the_same_in_python() {
        let python = include_str!("../../../python/rpytest/process/takeover.py");
        let (_, rest) = python.split_once("NOISE = frozenset(").unwrap();
        let (names, _) = rest.split_once(')').unwrap();
        let mut theirs: Vec<_> = names.split('"').skip(1).step_by(2).collect();
        let mut ours = NOISE.to_vec();
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(theirs, ours);
    }

    #[test]
    fn a_key_is_that_of_all_variables_but_noise() {
        let key = |pairs: &[(&str, &str)]| {
            let texts =
                |&(name, value): &(&str, &str)| (SystemText::from(name), SystemText::from(value));
            Environment(pairs.iter().map(texts).collect()).key()
        };
        let base = key(&[("A", "1"), ("B", "2")]);
        assert_eq!(base, key(&[("A", "1"), ("B", "2"), ("SHLVL", "3")]));
        for other in [
            &[("A", "1"), ("B", "3")][..],
            &[("A", "1")],
            &[("A", "1B"), ("", "2")],
            &[("A", "1"), ("B", "2"), ("C", "")],
        ] {
            assert_ne!(base, key(other));
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_become_lone_surrogates() {
        let text = SystemText(OsString::from_vec(b"a\xff\"\xc3\xa4".to_vec()));
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"a\\udcff\\\"ä\"");
        let plain = SystemText(OsString::from("a\"b"));
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#""a\"b""#);
    }
}
