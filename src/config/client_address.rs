//! `SYNC_IP_HEADER`: where the address of a client behind a proxy is to be found.

use std::str::FromStr;

/// The reference server's choices, by its names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// The connection itself: no proxy.
    #[default]
    ConnectInfo,
    /// `X-Real-IP`.
    XRealIp,
    /// The last address of `X-Forwarded-For`.
    RightmostXForwardedFor,
    /// The last `for=` of `Forwarded`.
    RightmostForwarded,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `CloudFront-Viewer-Address`, which has a port behind the address.
    CloudFrontViewerAddress,
    /// `Fly-Client-IP`.
    FlyClientIp,
    /// `True-Client-IP`.
    TrueClientIp,
}

impl ClientAddress {
    /// Every choice with its name.
    pub const NAMES: [(&'static str, Self); 8] = [
        ("ConnectInfo", Self::ConnectInfo),
        ("XRealIp", Self::XRealIp),
        ("RightmostXForwardedFor", Self::RightmostXForwardedFor),
        ("RightmostForwarded", Self::RightmostForwarded),
        ("CfConnectingIp", Self::CfConnectingIp),
        ("CloudFrontViewerAddress", Self::CloudFrontViewerAddress),
        ("FlyClientIp", Self::FlyClientIp),
        ("TrueClientIp", Self::TrueClientIp),
    ];

    /// The names, for an error or a help text.
    #[must_use]
    pub fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}

impl FromStr for ClientAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, choice)| *choice)
            .ok_or(())
    }
}
