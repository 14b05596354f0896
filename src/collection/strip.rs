//! The text of a field without markup, as lists show it and as duplicates are compared.
//!
//! Clients compute the same from the same field. If the results differed, server and client would find different
//! duplicates. So the steps and their order are those of the clients.

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use regex::{Captures, Regex};
use sha1::{Digest, Sha1};

/// The text of a field: tags become the names of their media files or vanish, and entities become characters.
pub fn strip(field: &str) -> Cow<'_, str> {
    if !field.contains('<') {
        return decode_entities(Cow::Borrowed(field));
    }
    let named = match name_media(field) {
        Cow::Borrowed(same) => drop_markup(same),
        Cow::Owned(named) => Cow::Owned(drop_markup(&named).into_owned()),
    };
    decode_entities(named)
}

/// The number by which duplicates of a first field are found, computed from the result of [`strip`].
pub fn checksum(stripped: &str) -> u32 {
    let digest = Sha1::digest(stripped);
    digest
        .iter()
        .take(4)
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn pattern(pattern: &str) -> Regex {
    #[expect(
        clippy::expect_used,
        reason = "the patterns are constants, and each is used by a test"
    )]
    Regex::new(pattern).expect("a valid pattern")
}

static MEDIA: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?xsi)
        < (?: img | audio | video | object | source ) \b
        (?: [^>] | " [^"]+? " | ' [^']+? ' )+?
        \b (?: src | data ) \b =
        (?:
            " ([^"]+?) " [^>]* >
          | ' ([^']+?) ' [^>]* >
          | ([^>]+?) (?: \x20 [^>]* > | > )
        )"#,
    )
});

/// Replaces each tag that shows or plays a file with the file's name.
fn name_media(text: &str) -> Cow<'_, str> {
    MEDIA.replace_all(text, |captures: &Captures<'_>| {
        let name = captures
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map_or("", |name| name.as_str());
        format!(" {name} ")
    })
}

/// Removes comments, style sheets and scripts with their content, and all other tags.
///
/// A single regular expression could do this. With many elements that are not closed, its time would grow with the
/// square of the length, and the text is a stranger's.
fn drop_markup(text: &str) -> Cow<'_, str> {
    let mut comments = Closing::new(text, &COMMENT_END);
    let mut styles = Closing::new(text, &STYLE_END);
    let mut scripts = Closing::new(text, &SCRIPT_END);
    let mut kept = String::new();
    let mut from = 0;
    while let Some(start) = find(text, '<', from) {
        let tag = &text[start..];
        let comment = tag.starts_with("<!--").then_some(start + "<!--".len());
        let content = |opening: &Regex| {
            opening
                .find(tag)
                .and_then(|name| Some(find(text, '>', start + name.end())? + 1))
        };
        let end = (comment.and_then(|from| comments.end_after(from)))
            .or_else(|| content(&STYLE_START).and_then(|from| styles.end_after(from)))
            .or_else(|| content(&SCRIPT_START).and_then(|from| scripts.end_after(from)))
            .or_else(|| find(text, '>', start).map(|end| end + 1));
        // All markup ends with the same character, so there is no more markup either.
        let Some(end) = end else { break };
        kept.push_str(&text[from..start]);
        from = end;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

fn find(text: &str, char: char, from: usize) -> Option<usize> {
    text[from..].find(char).map(|at| from + at)
}

static COMMENT_END: LazyLock<Regex> = LazyLock::new(|| pattern("-->"));
static STYLE_START: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^<style"));
static STYLE_END: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)</style>"));
static SCRIPT_START: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)^<script"));
static SCRIPT_END: LazyLock<Regex> = LazyLock::new(|| pattern("(?i)</script>"));

/// The end of one kind of element. It is searched once and remembered until it is passed.
struct Closing<'t> {
    text: &'t str,
    pattern: &'static Regex,
    searched: bool,
    next: Option<Range<usize>>,
}

impl<'t> Closing<'t> {
    fn new(text: &'t str, pattern: &'static Regex) -> Self {
        Self {
            text,
            pattern,
            searched: false,
            next: None,
        }
    }

    /// The end of the first one at or after `from`. `from` must not decrease between calls.
    fn end_after(&mut self, from: usize) -> Option<usize> {
        let passed = self.next.as_ref().is_some_and(|next| next.start < from);
        if passed || !self.searched {
            self.searched = true;
            self.next = self
                .pattern
                .find_at(self.text, from)
                .map(|found| found.range());
        }
        self.next.as_ref().map(|next| next.end)
    }
}

/// Turns entities into characters; none of them if one is invalid.
fn decode_entities(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains('&') {
        return text;
    }
    match htmlescape::decode_html(&text) {
        Ok(decoded) => Cow::Owned(decoded.replace('\u{a0}', " ")),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that the recorded cases of whole notes do not cover.
    #[test]
    fn every_kind_of_markup_goes_and_its_text_stays() {
        for (field, expected) in [
            ("plain", "plain"),
            ("a<br>b<DIV class='x'>c</DIV>", "abc"),
            ("a<!-- > <b> -->b", "ab"),
            ("a<!-- >b", "ab"),
            ("a<StYlE x>b</sTyLe>c", "ac"),
            ("a<style>b", "ab"),
            ("a<script>b</style>c</script>d", "ad"),
            ("a<script></script", "a</script"),
            ("a < b > c", "a  c"),
            ("a < b", "a < b"),
            ("<><<>", ""),
            ("x<img src='a>b.png' y>z", "x a>b.png z"),
            ("<video controls><source src=v.mp4></video>", " v.mp4 "),
            ("&lt;b&gt;&nbsp;\u{a0}", "<b>  "),
            ("\u{a0}", "\u{a0}"),
            ("&amp;lt;", "&lt;"),
            ("&amp; &bogus;", "&amp; &bogus;"),
        ] {
            assert_eq!(strip(field), expected, "{field:?}");
        }
    }

    #[test]
    fn markup_is_found_as_by_the_pattern_that_defines_it() {
        let definition =
            pattern("(?si)<!--.*?-->|<style.*?>.*?</style>|<script.*?>.*?</script>|<.*?>");
        let parts = [
            "<",
            ">",
            "<!--",
            "-->",
            "<style",
            "<STYLE>",
            "</style>",
            "<ſtyle>",
            "</ſtyle>",
            "<script>",
            "</Script>",
            "<scripty ",
            "-",
            "a",
            "é",
            "\n",
            "<b>",
        ];
        // A multiplicative generator mixes the parts well enough, and gives the same texts each time.
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..20_000 {
            let text: String = (0..next(14)).map(|_| parts[next(parts.len())]).collect();
            assert_eq!(
                drop_markup(&text),
                definition.replace_all(&text, ""),
                "{text:?}"
            );
        }
    }

    #[test]
    fn unclosed_elements_take_no_more_than_linear_time() {
        let long = "<style>".repeat(200_000) + &"<script><!-- ".repeat(100_000);
        let start = std::time::Instant::now();
        assert_eq!(strip(&long), "<!-- ");
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn a_checksum_is_the_first_four_bytes_of_sha1() {
        assert_eq!(checksum(""), 3_661_210_606);
        assert_eq!(checksum("foo"), 200_198_069);
    }
}
