//! From a passphrase to the key of the store.
//!
//! `argon2id(passphrase, salt)` gives 64 bytes: the first half is the key that SQLCipher is given as
//! it is, the second a *verifier* that stands in the salt file. With it a wrong passphrase is known
//! for sure, and whatever fails after it is damage. The verifier tells an attacker nothing that the
//! encrypted file would not: either lets one guess be tried at the full cost.
//!
//! The salt file is a few lines of text with a version and a check of their own, so that a damaged
//! salt is not taken for a wrong passphrase:
//!
//! ```text
//! cairn salt 1
//! argon2id 65536 3 1
//! salt 52 characters
//! verifier 52 characters
//! check 52 characters
//! ```

use argon2::{Algorithm, Argon2, Params, Version};
use cairn_crdt::crypto::domain;
use cairn_crdt::id::{read_base32, write_base32};
use zeroize::Zeroizing;

use super::StorageError;

const FIRST_LINE: &str = "cairn salt 1";
const ALGORITHM: &str = "argon2id";
const CHECK: &str = "cairn 2026 v1 salt file";
/// Bytes that a salt file may have.
pub(super) const SALT_FILE_BYTES: u64 = 1024;
const SALT_FILE: StorageError = StorageError::Damaged { what: "the file with the store's salt" };

/// What opening a store costs: argon2id memory, passes and lanes. Whoever guesses passphrases pays
/// it for each guess. It is chosen when the store is made and kept in the salt file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VaultCost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Default for VaultCost {
    /// 64 MiB, 3 passes, 1 lane: about a fifth of a second on a small computer.
    fn default() -> Self {
        Self { memory: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl VaultCost {
    /// The least that argon2 can do. For tests: it protects no passphrase.
    pub const FOR_TESTS: Self = Self { memory: 8, passes: 1, lanes: 1 };

    /// Within bounds that no damaged or foreign salt file can use to exhaust this machine: 8 KiB to
    /// 1 GiB, 1 to 64 passes, 1 to 16 lanes.
    fn params(self) -> Option<Params> {
        let Self { memory, passes, lanes } = self;
        let bounded = (8..=1024 * 1024).contains(&memory)
            && (1..=64).contains(&passes)
            && (1..=16).contains(&lanes);
        if !bounded {
            return None;
        }
        Params::new(memory, passes, lanes, Some(64)).ok()
    }
}

/// The key of a store. Wiped when dropped; has no `Debug`.
pub(super) struct VaultKey(Zeroizing<[u8; 32]>);

impl VaultKey {
    /// The statement that gives SQLCipher the key as it is, without a derivation of its own.
    pub(super) fn pragma(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // Room for all of it from the start: a string that grows leaves copies behind.
        let mut statement = Zeroizing::new(String::with_capacity(96));
        statement.push_str("PRAGMA key = \"x'");
        for byte in self.0.iter() {
            for half in [byte >> 4, byte & 0x0f] {
                statement.push(DIGITS.get(usize::from(half)).copied().map_or('0', char::from));
            }
        }
        statement.push_str("'\"");
        statement
    }
}

/// What the salt file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Salt {
    cost: VaultCost,
    salt: [u8; 32],
    verifier: [u8; 32],
}

impl Salt {
    /// A new salt and the key that it gives with this passphrase.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn generate(
        passphrase: &str,
        cost: VaultCost,
    ) -> Result<(Self, VaultKey), StorageError> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|_| StorageError::NoRandomness)?;
        let (key, verifier) = derive(passphrase, &salt, cost)?;
        Ok((Self { cost, salt, verifier }, key))
    }

    /// The key, if the passphrase is the one that the store was made with.
    ///
    /// # Errors
    /// [`StorageError::WrongPassphrase`].
    pub(super) fn open(&self, passphrase: &str) -> Result<VaultKey, StorageError> {
        let (key, verifier) = derive(passphrase, &self.salt, self.cost)?;
        // Both halves are public to whoever could measure this comparison.
        if verifier == self.verifier { Ok(key) } else { Err(StorageError::WrongPassphrase) }
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> String {
        let VaultCost { memory, passes, lanes } = self.cost;
        let lines = format!(
            "{FIRST_LINE}\n{ALGORITHM} {memory} {passes} {lanes}\nsalt {}\nverifier {}\n",
            write_base32(&self.salt),
            write_base32(&self.verifier),
        );
        format!("{lines}check {}\n", check(&lines))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], or [`StorageError::TooNew`] if it is of another version.
    pub(super) fn from_text(text: &str) -> Result<Self, StorageError> {
        let version = text.lines().next().and_then(|line| line.strip_prefix("cairn salt "));
        match version.and_then(|version| version.parse::<u32>().ok()) {
            None => return Err(SALT_FILE),
            Some(1) => {}
            Some(found) => return Err(StorageError::TooNew { found, known: 1 }),
        }
        Self::read(text).filter(|read| read.to_text() == text).ok_or(SALT_FILE)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let mut numbers = lines.next()?.strip_prefix(ALGORITHM)?.split_whitespace();
        let mut number = || numbers.next()?.parse::<u32>().ok();
        let cost = VaultCost { memory: number()?, passes: number()?, lanes: number()? };
        cost.params()?;
        let mut bytes = |name: &str| -> Option<[u8; 32]> {
            read_base32(lines.next()?.strip_prefix(name)?.strip_prefix(' ')?)?.try_into().ok()
        };
        Some(Self { cost, salt: bytes("salt")?, verifier: bytes("verifier")? })
    }
}

fn check(lines: &str) -> String {
    write_base32(&domain::hash(CHECK, &[lines.as_bytes()]))
}

fn derive(
    passphrase: &str,
    salt: &[u8; 32],
    cost: VaultCost,
) -> Result<(VaultKey, [u8; 32]), StorageError> {
    let params = cost.params().ok_or(SALT_FILE)?;
    let mut output = Zeroizing::new([0_u8; 64]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, output.as_mut())
        .map_err(|_| StorageError::Failed { code: 0 })?;
    let mut key = Zeroizing::new([0; 32]);
    let mut verifier = [0; 32];
    for (to, from) in key.iter_mut().chain(verifier.iter_mut()).zip(output.iter()) {
        *to = *from;
    }
    Ok((VaultKey(key), verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Salt {
        Salt::generate("a quiet heron", VaultCost::FOR_TESTS).unwrap().0
    }

    #[test]
    fn the_same_passphrase_gives_the_same_key_and_no_other_does() {
        let (salt, key) = Salt::generate("a quiet heron", VaultCost::FOR_TESTS).unwrap();
        let again = Salt::from_text(&salt.to_text()).unwrap().open("a quiet heron").unwrap();
        assert_eq!(*again.0, *key.0);
        for wrong in ["", "a quiet heron ", "A quiet heron"] {
            assert!(matches!(salt.open(wrong), Err(StorageError::WrongPassphrase)));
        }
        assert_ne!(made().salt, salt.salt);
    }

    #[test]
    fn the_key_is_not_in_the_salt_file() {
        let (salt, key) = Salt::generate("a quiet heron", VaultCost::FOR_TESTS).unwrap();
        assert_ne!(salt.verifier, *key.0);
        assert!(!salt.to_text().contains(&write_base32(&*key.0)));
        assert_eq!(key.pragma().len(), "PRAGMA key = \"x''\"".len() + 64);
    }

    #[test]
    fn a_damaged_salt_is_not_taken_for_a_wrong_passphrase() {
        let text = made().to_text();
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let error = Salt::from_text(&text).unwrap_err();
            let known = matches!(error, StorageError::Damaged { .. } | StorageError::TooNew { .. });
            assert!(known, "{place} {error}");
        }
        assert!(matches!(Salt::from_text(""), Err(StorageError::Damaged { .. })));
        assert!(matches!(Salt::from_text(&format!("{text}\n")), Err(StorageError::Damaged { .. })));
    }

    #[test]
    fn a_salt_file_cannot_ask_for_more_than_a_machine_has() {
        for cost in [(u32::MAX, 3, 1), (65536, 65, 1), (65536, 3, 17), (7, 1, 1), (8, 0, 1)] {
            let cost = VaultCost { memory: cost.0, passes: cost.1, lanes: cost.2 };
            let text = Salt { cost, ..made() }.to_text();
            assert!(matches!(Salt::from_text(&text), Err(StorageError::Damaged { .. })));
        }
    }

    #[test]
    fn a_salt_of_a_later_version_asks_for_an_update() {
        let text = made().to_text().replace("cairn salt 1", "cairn salt 2");
        assert!(matches!(Salt::from_text(&text), Err(StorageError::TooNew { found: 2, known: 1 })));
    }
}
