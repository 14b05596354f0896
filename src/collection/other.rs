//! The last field of most blobs: JSON keys that have no field of their own.

use crate::wire::{Json, Unknown};

/// The blob for these keys: empty without keys.
pub(super) fn pack(keys: &Unknown) -> Vec<u8> {
    Json::object(keys).map(Json::into_bytes).unwrap_or_default()
}

/// The keys in the blob, without those that are written anyway.
///
/// Anything but a JSON object counts as no keys: it is not the person's fault, and must not stop the sync.
pub(super) fn unpack(blob: &[u8], reserved: &[&str]) -> Unknown {
    if blob.is_empty() {
        return Unknown::new();
    }
    let mut keys: Unknown = serde_json::from_slice(blob).unwrap_or_default();
    keys.retain(|key, _| !reserved.contains(&key.as_str()));
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_keys_survive_and_reserved_ones_do_not() {
        let keys = json!({"a": [1, null, "é"], "id": 5});
        let packed = pack(&serde_json::from_value(keys).unwrap());
        assert_eq!(
            String::from_utf8(packed.clone()).unwrap(),
            r#"{"a":[1,null,"é"],"id":5}"#
        );
        assert_eq!(
            serde_json::to_value(unpack(&packed, &["id"])).unwrap(),
            json!({"a": [1, null, "é"]})
        );
        assert!(pack(&Unknown::new()).is_empty());
    }

    #[test]
    fn what_is_no_object_counts_as_none() {
        for blob in ["", "[1]", "nonsense", "null"] {
            assert!(unpack(blob.as_bytes(), &[]).is_empty(), "{blob}");
        }
    }
}
