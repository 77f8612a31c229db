//! The recovery seed (I1): 32 bytes, shown as 24 BIP-39 words, once per person.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use rand_core::CryptoRng;

use crate::crypto::{aead, domain, signing::SigningKey};

/// Words that a person writes down.
pub const WORDS: usize = 24;

/// A person's recovery seed. Wiped when dropped; has no `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

/// The words are not 24 words of the English BIP-39 list with a right checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("these are not the 24 recovery words: a word is misspelt, missing or out of place")]
pub struct NotRecoveryWords;

impl Seed {
    /// A new random seed.
    pub fn generate<R: CryptoRng>(rng: &mut R) -> Self {
        let mut seed = Self([0; 32]);
        rng.fill_bytes(&mut seed.0);
        seed
    }

    /// The seed of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the encrypted store only.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0)
    }

    /// The 24 words, in order.
    #[must_use]
    pub fn words(&self) -> Vec<Zeroizing<String>> {
        bip39::Mnemonic::from_entropy(&self.0).map_or_else(
            |_| Vec::new(),
            |mnemonic| mnemonic.words().map(|word| Zeroizing::new(word.to_owned())).collect(),
        )
    }

    /// Reads the 24 words, separated by any white space.
    ///
    /// # Errors
    /// When a word is unknown, there are not 24, or the checksum is wrong.
    pub fn from_words(words: &str) -> Result<Self, NotRecoveryWords> {
        let normal: Zeroizing<String> = Zeroizing::new(
            words.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        );
        let mnemonic = bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &normal)
            .map_err(|_| NotRecoveryWords)?;
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        entropy.as_slice().try_into().map(Self).map_err(|_| NotRecoveryWords)
    }

    /// The member key of the persona in the group with this salt.
    #[must_use]
    pub fn member_key(&self, salt: &[u8; 32]) -> SigningKey {
        self.derived(salt, domain::DERIVE_MEMBER)
    }

    /// The council key of the persona in the group with this salt (A10).
    #[must_use]
    pub fn council_key(&self, salt: &[u8; 32]) -> SigningKey {
        self.derived(salt, domain::DERIVE_COUNCIL)
    }

    fn derived(&self, salt: &[u8; 32], label: &'static str) -> SigningKey {
        SigningKey::from_seed(aead::derive(salt, &self.0, label, &[]).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i1_the_words_give_the_seed_back() {
        let seed = Seed::from_bytes([42; 32]);
        let words: Vec<String> = seed.words().iter().map(|word| word.to_string()).collect();
        assert_eq!(words.len(), WORDS);
        let read = Seed::from_words(&words.join("\n ")).map(|seed| *seed.to_bytes());
        assert_eq!(read, Ok([42; 32]));
        assert!(Seed::from_words(&words[1..].join(" ")).is_err());
    }

    #[test]
    fn i1_two_groups_share_no_key() {
        let seed = Seed::from_bytes([42; 32]);
        let keys = [
            seed.member_key(&[1; 32]).verifying_key(),
            seed.member_key(&[2; 32]).verifying_key(),
            seed.council_key(&[1; 32]).verifying_key(),
        ];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    }
}
