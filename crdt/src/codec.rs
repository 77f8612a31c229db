//! One meaning, one encoding (L4).
//!
//! Values are written in the postcard wire format (its specification, version 1): integers as
//! LEB128 varints, sequences with their length before them, enums with their variant's number.
//! postcard alone accepts some bytes that it would not write (an over-long varint, a map with a
//! repeated key), so [`decode`] writes what it has read and refuses any difference.

use std::collections::BTreeMap;

pub mod armour;

use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The bytes are not the one encoding of any value of the type asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// Not canonical: another encoding of the same value exists, or bytes are left over.
    #[error("the bytes are not in canonical form")]
    NotCanonical,
    /// More bytes than the bound for this type.
    #[error("the bytes are more than allowed")]
    TooLarge,
    /// No value of the type has these bytes.
    #[error("the bytes cannot be read")]
    Unreadable,
}

/// Writes a value. All types of this crate can be written, so this cannot fail for them; should
/// one ever not be, the result is empty, which no decoder accepts.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

/// Reads a value from all of `bytes`, of which there may be at most `limit`.
///
/// # Errors
/// When there are more bytes than `limit`, they are no value, or not its canonical encoding.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Malformed> {
    if bytes.len() > limit {
        return Err(Malformed::TooLarge);
    }
    let value: T = postcard::from_bytes(bytes).map_err(|_| Malformed::Unreadable)?;
    if encode(&value) == bytes { Ok(value) } else { Err(Malformed::NotCanonical) }
}

/// A bounded string, byte string, list or map was given more than its bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("more than the {limit} allowed")]
pub struct TooMany {
    /// The bound.
    pub limit: usize,
}

/// At most `MAX` bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Bytes<MAX> {
    /// Takes the bytes if they are within the bound.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooMany> {
        if bytes.len() > MAX { Err(TooMany { limit: MAX }) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> Serialize for Bytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Bytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: serde_bytes::ByteBuf = Deserialize::deserialize(deserializer)?;
        Self::new(bytes.into_vec()).map_err(D::Error::custom)
    }
}

/// At most `MAX` bytes of UTF-8.
#[derive(Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes the text if it is within the bound.
    ///
    /// # Errors
    /// When it is longer than `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, TooMany> {
        let text = text.into();
        if text.len() > MAX { Err(TooMany { limit: MAX }) } else { Ok(Self(text)) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// At most `MAX` values.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes the values if they are within the bound.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(values: Vec<T>) -> Result<Self, TooMany> {
        if values.len() > MAX { Err(TooMany { limit: MAX }) } else { Ok(Self(values)) }
    }

    /// The values in order.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The values, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, T, const MAX: usize> IntoIterator for &'a List<T, MAX> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.len()))?;
        for value in &self.0 {
            sequence.serialize_element(value)?;
        }
        sequence.end()
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T, const MAX: usize>(core::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Values<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "at most {MAX} values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = sequence.next_element()? {
                    if values.len() >= MAX {
                        return Err(A::Error::custom(TooMany { limit: MAX }));
                    }
                    values.push(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(Values::<T, MAX>(core::marker::PhantomData)).map(Self)
    }
}

/// At most `MAX` pairs, written in the order of their keys.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Map<K, V, const MAX: usize>(BTreeMap<K, V>);

impl<K, V, const MAX: usize> Default for Map<K, V, MAX> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V, const MAX: usize> Map<K, V, MAX> {
    /// Takes the pairs if they are within the bound.
    ///
    /// # Errors
    /// When there are more than `MAX`.
    pub fn new(pairs: BTreeMap<K, V>) -> Result<Self, TooMany> {
        if pairs.len() > MAX { Err(TooMany { limit: MAX }) } else { Ok(Self(pairs)) }
    }

    /// The pairs.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<K, V> {
        &self.0
    }

    /// The pairs, taken out.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<K, V> {
        self.0
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// The pairs in the order of their keys.
    pub fn iter(&self) -> std::collections::btree_map::Iter<'_, K, V> {
        self.0.iter()
    }
}

impl<K: Serialize, V: Serialize, const MAX: usize> Serialize for Map<K, V, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, K, V, const MAX: usize> Deserialize<'de> for Map<K, V, MAX>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<K, V, const MAX: usize>(core::marker::PhantomData<(K, V)>);
        impl<'de, K, V, const MAX: usize> Visitor<'de> for Pairs<K, V, MAX>
        where
            K: Deserialize<'de> + Ord,
            V: Deserialize<'de>,
        {
            type Value = BTreeMap<K, V>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "at most {MAX} pairs")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    if pairs.len() >= MAX {
                        return Err(A::Error::custom(TooMany { limit: MAX }));
                    }
                    pairs.insert(key, value);
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs::<K, V, MAX>(core::marker::PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l4_an_overlong_varint_is_refused() {
        assert_eq!(decode::<u32>(&[0x01], 8), Ok(1));
        assert_eq!(decode::<u32>(&[0x81, 0x00], 8), Err(Malformed::NotCanonical));
    }

    #[test]
    fn l4_left_over_bytes_are_refused() {
        assert_eq!(decode::<u32>(&[0x01, 0x00], 8), Err(Malformed::NotCanonical));
    }

    #[test]
    fn l4_bounds_hold_before_anything_is_kept() {
        type Three = List<u8, 3>;
        assert!(decode::<Three>(&[3, 1, 2, 3], 8).is_ok());
        assert_eq!(decode::<Three>(&[4, 1, 2, 3, 4], 8), Err(Malformed::Unreadable));
        assert_eq!(decode::<Three>(&[3, 1, 2, 3], 3), Err(Malformed::TooLarge));
    }

    #[test]
    fn l4_a_map_out_of_order_or_with_a_key_twice_is_refused() {
        type Pairs = Map<u8, u8, 4>;
        assert!(decode::<Pairs>(&[2, 1, 9, 2, 9], 8).is_ok());
        assert_eq!(decode::<Pairs>(&[2, 2, 9, 1, 9], 8), Err(Malformed::NotCanonical));
        assert_eq!(decode::<Pairs>(&[2, 1, 9, 1, 9], 8), Err(Malformed::NotCanonical));
    }
}
