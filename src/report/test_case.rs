//! A test case for the junit file without pytest: of a test that nobody is left to report.

use std::borrow::Cow;
use std::fmt::Write as _;

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, Event};

use super::junit::element;

/// What a `<testcase>` contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `<failure>`: the test itself.
    Failure,
    /// `<error>`: its setup or teardown, or that it did not run.
    Error,
}

/// The `<testcase>` element of a test with a problem; `duration` in seconds. `--junitprefix` is
/// known to pytest only.
#[must_use]
pub fn test_case(nodeid: &str, problem: Problem, message: &str, duration: f64) -> String {
    let (class, name) = names(nodeid);
    let (class, name) = (legal(&class), legal(&name));
    let time = format!("{duration:.3}");
    let case = element(
        "testcase",
        &[("classname", &class), ("name", &name), ("time", &time)],
    );
    let kind = match problem {
        Problem::Failure => "failure",
        Problem::Error => "error",
    };
    let mut xml = Writer::new(Vec::new());
    xml.config_mut().add_space_before_slash_in_empty_elements = true;
    let message = legal(message);
    let written = xml
        .write_event(Event::Start(case))
        .and_then(|()| xml.write_event(Event::Empty(element(kind, &[("message", &message)]))))
        .and_then(|()| xml.write_event(Event::End(BytesEnd::new("testcase"))));
    debug_assert!(written.is_ok(), "memory can be written to");
    String::from_utf8(xml.into_inner()).unwrap_or_default()
}

/// `classname` and `name` as pytest's `mangle_test_address` has them.
fn names(nodeid: &str) -> (String, String) {
    let bracket = nodeid.find('[').unwrap_or(nodeid.len());
    let (address, parameters) = nodeid.split_at(bracket);
    let mut parts: Vec<String> = address.split("::").map(str::to_owned).collect();
    let path = parts[0].replace('/', ".");
    parts[0] = path.strip_suffix(".py").unwrap_or(&path).to_owned();
    let name = parts.pop().unwrap_or_default() + parameters;
    (parts.join("."), name)
}

/// Characters that XML can't contain as pytest's `bin_xml_escape` shows them.
fn legal(text: &str) -> Cow<'_, str> {
    let illegal = |character: char| {
        let control = matches!(character, '\0'..='\x1f') && !"\t\n\r".contains(character);
        control || matches!(character, '\x7f' | '\u{fffe}' | '\u{ffff}')
    };
    if !text.contains(illegal) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if !illegal(character) {
            out.push(character);
        } else if u32::from(character) <= 0xff {
            let _ = write!(out, "#x{:02X}", u32::from(character));
        } else {
            let _ = write!(out, "#x{:04X}", u32::from(character));
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_pytests() {
        let check = |nodeid, class: &str, name: &str| {
            assert_eq!(names(nodeid), (class.to_owned(), name.to_owned()));
        };
        check("a/b.pyx/test_c.py::test_d", "a.b.pyx.test_c", "test_d");
        check(
            "a/test_c.py::TestE::TestF::test_d[x::y/z.py[1]]",
            "a.test_c.TestE.TestF",
            "test_d[x::y/z.py[1]]",
        );
        check(
            "docs/readme.rst::readme.rst",
            "docs.readme.rst",
            "readme.rst",
        );
        check("lone.py", "", "lone");
    }

    #[test]
    fn everything_is_escaped() {
        let case = test_case("a.py::t[<\"\x1b]", Problem::Error, "a & b\n\0", 0.25);
        assert_eq!(
            case,
            "<testcase classname=\"a\" name=\"t[&lt;&quot;#x1B]\" time=\"0.250\">\
             <error message=\"a &amp; b&#10;#x00\" /></testcase>"
        );
        let case = test_case("a.py::t", Problem::Failure, "", 0.0);
        assert!(case.contains("<failure message=\"\" />"), "{case}");
    }
}
