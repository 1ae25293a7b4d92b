//! The page around the data, and the file that it goes into.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("page/page.html");
const STYLES: &[&str] = &[
    include_str!("page/base.css"),
    include_str!("page/timeline.css"),
    include_str!("page/panels.css"),
];
const SCRIPTS: &[&str] = &[
    include_str!("page/data.js"),
    include_str!("page/format.js"),
    include_str!("page/view.js"),
    include_str!("page/draw.js"),
    include_str!("page/timeline.js"),
    include_str!("page/input.js"),
    include_str!("page/charts.js"),
    include_str!("page/tables.js"),
    include_str!("page/summary.js"),
    include_str!("page/main.js"),
];

/// The whole page; `json` contains no `<`.
#[must_use]
pub fn page(json: &str) -> String {
    let mut text = String::with_capacity(PAGE.len() + json.len() + (128 << 10));
    // Places are looked for in the page only, never in what is put there.
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            rest = after;
            break;
        };
        match name {
            "styles" => STYLES.iter().for_each(|style| text.push_str(style)),
            "scripts" => SCRIPTS.iter().for_each(|script| text.push_str(script)),
            "data" => text.push_str(json),
            other => debug_assert!(false, "the page has no use for `{other}`"),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Writes the file as a whole: a reader sees the old one or the new one. Missing directories are
/// made, as for `--junitxml`.
///
/// # Errors
/// The file can't be written; nothing is left of it then.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link stays a link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        // A pipe or a device can't be replaced.
        Ok(metadata) if !metadata.is_file() => return fs::write(&target, text),
        _ => {}
    }
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory)?;
    }
    let temporary = beside(&target)?;
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A name in the same directory that no other process uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    // Cut: the longest name that a file may have leaves no room for more.
    temporary.push(name.to_string_lossy().chars().take(40).collect::<String>());
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_the_page_is_filled() {
        let text = page("{\"a\":\"{{styles}}\"}");
        assert!(text.contains(r#"type="application/json">{"a":"{{styles}}"}</script>"#));
        assert!(text.contains("prefers-color-scheme"));
        assert!(text.contains("requestAnimationFrame"));
        assert_eq!(text.matches("</script>").count(), 2);
        assert_eq!(text.matches("</style>").count(), 1);
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let text = page("{}");
        assert!(text.contains("default-src 'none'"));
        for reference in ["http://", "https://", "src=", "@import", "url(", "fetch("] {
            assert!(!text.contains(reference), "{reference}");
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/deep/page.html");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let beside = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(beside.count(), 1, "nothing else is left");
        let link = directory.path().join("link.html");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_file_that_can_not_be_written_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(write(&file.join("page.html"), "").is_err());
        assert!(write(directory.path(), "").is_err());
        let long = directory.path().join("n".repeat(300));
        assert!(write(&long, "").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
