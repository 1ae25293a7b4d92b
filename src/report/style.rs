//! Colours and separator lines, byte for byte as pytest's `TerminalWriter` writes them.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Color, Effects, Reset, Style};

/// Writes `text` with pytest's names for colours (`green`, `bold`, …) around it, one escape
/// sequence per name in their order. Without `color`, or without a known name, the text stays bare.
pub fn paint(out: &mut String, text: &str, names: &[&str], color: bool) {
    let mut painted = false;
    for style in names
        .iter()
        .filter_map(|name| style(name))
        .filter(|_| color)
    {
        painted = true;
        push(out, style.render());
    }
    out.push_str(text);
    if painted {
        push(out, Reset.render());
    }
}

/// [`paint`] to a string of its own.
pub fn painted(text: &str, names: &[&str], color: bool) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    paint(&mut out, text, names, color);
    out
}

fn push(out: &mut String, what: impl std::fmt::Display) {
    write!(out, "{what}").expect("writing to a string can't fail");
}

/// The entries of `TerminalWriter._esctable`; pytest's `light` is what terminals call dim.
fn style(name: &str) -> Option<Style> {
    let foreground = |color: AnsiColor| Style::new().fg_color(Some(Color::Ansi(color)));
    let background = |color: AnsiColor| Style::new().bg_color(Some(Color::Ansi(color)));
    Some(match name {
        "black" => foreground(AnsiColor::Black),
        "red" => foreground(AnsiColor::Red),
        "green" => foreground(AnsiColor::Green),
        "yellow" => foreground(AnsiColor::Yellow),
        "blue" => foreground(AnsiColor::Blue),
        "purple" => foreground(AnsiColor::Magenta),
        "cyan" => foreground(AnsiColor::Cyan),
        "white" => foreground(AnsiColor::White),
        "Black" => background(AnsiColor::Black),
        "Red" => background(AnsiColor::Red),
        "Green" => background(AnsiColor::Green),
        "Yellow" => background(AnsiColor::Yellow),
        "Blue" => background(AnsiColor::Blue),
        "Purple" => background(AnsiColor::Magenta),
        "Cyan" => background(AnsiColor::Cyan),
        "White" => background(AnsiColor::White),
        "bold" => Style::new().effects(Effects::BOLD),
        "light" => Style::new().effects(Effects::DIMMED),
        "blink" => Style::new().effects(Effects::BLINK),
        "invert" => Style::new().effects(Effects::INVERT),
        _ => return None,
    })
}

/// A line of `fill` with a title in the middle, at most `width` characters, as `TerminalWriter.sep`
/// makes it. `hidden` is how many of the title's characters are escape sequences and take no room.
pub fn separator(fill: char, title: &str, width: usize, hidden: usize) -> String {
    let width = width + hidden;
    let length = title.chars().count();
    let side = (width.saturating_sub(length + 2) / 2).max(1);
    let side: String = std::iter::repeat_n(fill, side).collect();
    let mut line = format!("{side} {title} {side}");
    if line.chars().count() < width {
        line.push(fill);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{painted, separator};

    #[test]
    fn escape_sequences_are_pytests() {
        assert_eq!(
            painted("x", &["green", "bold"], true),
            "\x1b[32m\x1b[1mx\x1b[0m"
        );
        assert_eq!(
            painted("x", &["Red", "light", "invert", "blink"], true),
            "\x1b[41m\x1b[2m\x1b[7m\x1b[5mx\x1b[0m"
        );
        assert_eq!(painted("x", &["no such colour"], true), "x");
        assert_eq!(painted("x", &["green"], false), "x");
    }

    #[test]
    fn separators_fill_the_width_or_give_up() {
        assert_eq!(separator('=', "ab", 10, 0), "=== ab ===");
        assert_eq!(separator('=', "ab", 11, 0), "=== ab ====");
        assert_eq!(
            separator('=', "a title that is too long", 10, 0),
            "= a title that is too long ="
        );
    }
}
