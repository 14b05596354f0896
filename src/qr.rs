//! QR codes of addresses, for the page and for a terminal.

use qrcode::{
    QrCode,
    render::{svg, unicode::Dense1x2},
};

/// Bytes. Cameras have difficulty with longer texts.
const LONGEST: usize = 300;
/// Black on white, even if the terminal has other colours.
const COLOURS: &str = "\x1b[38;5;16;48;5;231m";
const NO_COLOURS: &str = "\x1b[0m";

/// An SVG element; none if the text is too long.
pub fn svg(text: &str) -> Option<String> {
    let drawn = code(text)?.render::<svg::Color>().build();
    let (_, element) = drawn.split_once("?>")?;
    Some(element.replacen(
        "<svg",
        "<svg role=\"img\" aria-label=\"QR code of the address\"",
        1,
    ))
}

/// Lines for a terminal; none if the text is too long.
pub fn terminal(text: &str) -> Option<String> {
    let drawn = code(text)?.render::<Dense1x2>().build();
    let lines = drawn.lines();
    Some(lines.fold(String::new(), |code, line| {
        code + COLOURS + line + NO_COLOURS + "\n"
    }))
}

fn code(text: &str) -> Option<QrCode> {
    if text.len() > LONGEST {
        return None;
    }
    QrCode::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_an_element_and_no_document() {
        let element = svg("http://192.0.2.1:8080/").unwrap();
        assert!(element.starts_with("<svg role=") && element.ends_with("</svg>"));
        assert!(!element.contains("style="));
        assert_eq!(svg(&"x".repeat(LONGEST + 1)), None);
    }

    #[test]
    fn in_a_terminal_every_line_is_as_wide_and_has_its_own_colours() {
        let code = terminal("http://192.0.2.1:8080/").unwrap();
        let widths: Vec<_> = code.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() > 10 && widths.iter().all(|width| *width == widths[0]));
        assert!(
            code.lines()
                .all(|line| line.starts_with(COLOURS) && line.ends_with(NO_COLOURS))
        );
    }
}
