//! Looking for secrets where none may be: in every byte of every file below a folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Something that may be found nowhere, in the forms in which it could be written.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What it is, for the person who reads that it was found.
    pub what: String,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    /// A text: as UTF-8, as UTF-16, and as hexadecimal digits.
    #[must_use]
    pub fn text(what: &str, text: &str) -> Self {
        let wide = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut secret = Self::bytes(what, text.as_bytes());
        secret.forms.push(wide);
        secret
    }

    /// Bytes: as they are, and as hexadecimal digits, small and large.
    ///
    /// # Panics
    /// When they are so few that they could be anywhere by chance.
    #[must_use]
    pub fn bytes(what: &str, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= 8, "{what} is too short to be told from chance");
        let small: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let large = small.to_uppercase();
        let forms = vec![bytes.to_vec(), small.into_bytes(), large.into_bytes()];
        Self { what: what.to_owned(), forms }
    }

    /// Whether it stands anywhere in these bytes.
    #[must_use]
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| contains(bytes, form))
    }
}

/// Every file below a folder, with its bytes. What is gone before it is read is left out.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let mut bytes = Vec::new();
                let read = File::open(entry.path()).and_then(|mut f| f.read_to_end(&mut bytes));
                if read.is_ok() {
                    files.push((entry.path(), bytes));
                }
            }
        }
    }
    files
}

/// Says which secrets are in which file, or in its name.
#[must_use]
pub fn found(secrets: &[Secret], files: &[(PathBuf, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, bytes) in files {
        for secret in secrets {
            let named = secret.is_in(path.as_os_str().as_encoded_bytes());
            if named || secret.is_in(bytes) {
                found.push(format!("{} in {}", secret.what, path.display()));
            }
        }
    }
    found
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(wanted) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let secret = Secret::text("the canary", "heron-canary");
        let hidden = |bytes: &[u8]| {
            fs::write(deep.join("file"), [b"\xffhheron-".as_slice(), bytes, b"\x00"].concat())
                .unwrap();
            found(std::slice::from_ref(&secret), &files_below(folder.path())).len()
        };
        assert_eq!(hidden(b"heron-canar"), 0);
        assert_eq!(hidden(b"heron-canary"), 1);
        assert_eq!(hidden(b"6865726f6e2d63616e617279"), 1);
        assert_eq!(hidden(b"h\0e\0r\0o\0n\0-\0c\0a\0n\0a\0r\0y\0"), 1);
        fs::write(deep.join("heron-canary"), "").unwrap();
        assert_eq!(hidden(b""), 1);
    }
}
