//! HPKE, base mode, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305: RFC 9180,
//! appendix A.2.1.

use std::convert::Infallible;

use cairn_crdt::crypto::agreement::{SecretKey, seal};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, Serializable as _, setup_receiver};
use rand_core::{TryCryptoRng, TryRng};

use crate::hex;

/// The RFC's `info`, which is text: so it can be a label.
const INFO: &str = "Ode on a Grecian Urn";
const PLAIN: &[u8] = b"Beauty is truth, truth beauty";
const IKM_E: &str = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
const ENC: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
const IKM_R: &str = "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df";
const SK_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
const PK_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
/// The first three messages; the associated data of each says its number.
const SEALED: [(&str, &str); 3] = [
    (
        "Count-0",
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    ),
    (
        "Count-1",
        "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c",
    ),
    (
        "Count-2",
        "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b",
    ),
];

/// Gives out the RFC's `ikmE`, once.
struct Ephemeral(Option<Vec<u8>>);

impl TryRng for Ephemeral {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the ephemeral key is made from bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("the ephemeral key is made from bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.take().unwrap());
        Ok(())
    }
}

impl TryCryptoRng for Ephemeral {}

fn recipient() -> SecretKey {
    SecretKey::from_bytes(&hex(SK_R).try_into().unwrap())
}

#[test]
fn j2_rfc_9180_keys() {
    assert_eq!(recipient().public_key().as_bytes().as_slice(), hex(PK_R));
    let (_, public) = X25519HkdfSha256::derive_keypair(&hex(IKM_R));
    assert_eq!(public.to_bytes().as_slice(), hex(PK_R));
    let (_, encapped) = X25519HkdfSha256::derive_keypair(&hex(IKM_E));
    assert_eq!(encapped.to_bytes().as_slice(), hex(ENC));
}

#[test]
fn j2_rfc_9180_a_box_is_sealed_to_these_bytes_and_opens() {
    let (associated, ciphertext) = SEALED[0];
    let expected = [hex(ENC), hex(ciphertext)].concat();
    let mut rng = Ephemeral(Some(hex(IKM_E)));
    let to = recipient().public_key();
    let sealed = seal(&mut rng, &to, INFO, associated.as_bytes(), PLAIN).unwrap();
    assert_eq!(sealed, expected);
    let open = |label, associated: &str| recipient().open(label, associated.as_bytes(), &expected);
    assert_eq!(open(INFO, associated).unwrap().as_slice(), PLAIN);
    assert!(open(INFO, "Count-1").is_err());
    assert!(open("Ode to a Nightingale", associated).is_err());
}

#[test]
fn j2_rfc_9180_the_messages_after_the_first() {
    let secret = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(&hex(SK_R)).unwrap();
    let enc = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&hex(ENC)).unwrap();
    let mut receiver = setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &enc,
        INFO.as_bytes(),
    )
    .unwrap();
    for (associated, ciphertext) in SEALED {
        let plain = receiver.open(&hex(ciphertext), associated.as_bytes()).unwrap();
        assert_eq!(plain, PLAIN);
    }
}
