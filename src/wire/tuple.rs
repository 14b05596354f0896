/// Reads and writes a struct as a JSON array of its fields in order.
///
/// The struct derives `Serialize` and `Deserialize` with `#[serde(remote = "Self")]`, which reads each field by its own
/// rules. This macro accepts arrays only, and leaves the names of the fields out.
macro_rules! travels_as_tuple {
    ($type:ident, $expected:literal: $($field:ident)+) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let length = [$(stringify!($field)),+].len();
                let mut tuple = serializer.serialize_tuple(length)?;
                $(tuple.serialize_element(&self.$field)?;)+
                tuple.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Tuple;
                impl<'de> serde::de::Visitor<'de> for Tuple {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str($expected)
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, elements: A) -> Result<$type, A::Error> {
                        $type::deserialize(serde::de::value::SeqAccessDeserializer::new(elements))
                    }
                }
                deserializer.deserialize_seq(Tuple)
            }
        }
    };
}

pub(super) use travels_as_tuple;
