//! The device that a browser runs on, according to its request.

use hyper::{HeaderMap, header::USER_AGENT};

/// The section of the page that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// A computer, or an unknown device.
    Desktop,
    /// A phone or tablet with Android.
    Android,
    /// An iPhone or iPad. Recent ones claim to be a Mac; the page's script corrects that.
    Ios,
}

impl Visitor {
    pub fn of(headers: &HeaderMap) -> Self {
        let named = headers.get(USER_AGENT).and_then(|it| it.to_str().ok());
        let says = |word| named.is_some_and(|named| named.contains(word));
        if ["iPhone", "iPad", "iPod"].into_iter().any(says) {
            Self::Ios
        } else if says("Android") {
            Self::Android
        } else {
            Self::Desktop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_what_their_browsers_say() {
        for (named, expected) in [
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/130 Mobile",
                Visitor::Android,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)",
                Visitor::Ios,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0",
                Visitor::Desktop,
            ),
            ("curl/8", Visitor::Desktop),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, named.parse().unwrap());
            assert_eq!(Visitor::of(&headers), expected, "{named}");
        }
        assert_eq!(Visitor::of(&HeaderMap::new()), Visitor::Desktop);
    }
}
