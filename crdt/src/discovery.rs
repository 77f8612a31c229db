//! Finding members' devices when every address has changed: where a device is, told to the others
//! through a table that strangers keep.
//!
//! A device puts its *whereabouts* there under a key that only members can compute, sealed so that
//! only members can read them. Both change with the day, and with the discovery secret, which changes
//! at every removal: an outsider, a removed member and the keepers of the table can neither compute a
//! key nor tell two days of one device, nor two devices of one group, by what they hold.
//!
//! What must stay true: every record has the same size; a record is worth something for one device
//! on one day only; of several the one with the largest counter counts, so that an old one that is
//! put again changes nothing.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Bytes, List};
use crate::crypto::aead::{Nonce, SymmetricKey, TAG_BYTES};
use crate::crypto::domain;
use crate::crypto::signing::{Signature, SigningKey, verify};
use crate::id::DeviceId;
use crate::limits::{ADDRESS_BYTES, ADDRESSES, WHEREABOUTS_BYTES};
use crate::time::{DAY_MILLIS, Timestamp};

/// Bytes of the nonce in front of a record.
const NONCE_BYTES: usize = 24;
/// Bytes of a record before it is sealed: two of length, the whereabouts, zeroes.
const OPENED_BYTES: usize = WHEREABOUTS_BYTES - NONCE_BYTES - TAG_BYTES;

/// What members of a group have in common and others do not; another after every removal. Wiped when
/// dropped; has no `Debug`.
#[derive(Clone)]
pub struct DiscoverySecret(SymmetricKey);

/// Days since 1970-01-01, by the clock of whoever says what time it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Day(u64);

impl Day {
    /// The day of a time.
    #[must_use]
    pub const fn of(now: Timestamp) -> Self {
        Self(now.as_millis().div_euclid(DAY_MILLIS))
    }

    /// The days under which others may have put something now, this one first: clocks differ, and a
    /// day begins for one before it does for another.
    #[must_use]
    pub const fn around(now: Timestamp) -> [Self; 3] {
        let Self(today) = Self::of(now);
        [Self(today), Self(today.saturating_sub(1)), Self(today.saturating_add(1))]
    }
}

/// Where a device is, as it says itself. The plaintext of a record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Rises with each that the device puts.
    pub counter: u64,
    /// Binary multiaddrs without the peer id.
    pub addresses: List<Bytes<ADDRESS_BYTES>, ADDRESSES>,
    /// Of the device over (key, counter, addresses).
    pub signature: Signature,
}

/// A record is not what a member's device put there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no record of that device on that day")]
pub struct NotWhereabouts;

impl DiscoverySecret {
    /// These 32 bytes, which members alone have.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SymmetricKey::from_bytes(bytes))
    }

    /// Under which key a device puts its whereabouts on a day.
    #[must_use]
    pub fn key(&self, day: Day, device: DeviceId) -> [u8; 32] {
        let context = codec::encode(&(day.0, device));
        *self.0.derive(domain::WHEREABOUTS_KEY, &context).as_bytes()
    }

    fn seal_key(&self, day: Day) -> SymmetricKey {
        self.0.derive(domain::WHEREABOUTS_SEAL, &codec::encode(&day.0))
    }

    /// The record of a device for a day: [`WHEREABOUTS_BYTES`] bytes. Addresses that no longer fit
    /// are left out, the last ones first.
    pub fn seal<R: CryptoRng>(
        &self,
        rng: &mut R,
        day: Day,
        device: &SigningKey,
        counter: u64,
        addresses: &[Vec<u8>],
    ) -> Vec<u8> {
        let key = self.key(day, DeviceId::from_bytes(device.verifying_key()));
        let fit = addresses.iter().filter_map(|address| Bytes::new(address.clone()).ok());
        let mut fit: Vec<Bytes<ADDRESS_BYTES>> = fit.take(ADDRESSES).collect();
        let opened = loop {
            let addresses = List::new(fit.clone()).unwrap_or_default();
            let said = said(&key, counter, &addresses);
            let signature = device.sign(domain::SIGN_WHEREABOUTS, &said);
            let opened = padded(&Whereabouts { counter, addresses, signature });
            // Without addresses it always fits.
            if opened.len() <= OPENED_BYTES || fit.pop().is_none() {
                break opened;
            }
        };
        let nonce = Nonce::generate(rng);
        let sealed = self.seal_key(day).seal(&nonce, &key, &opened);
        [codec::encode(&nonce), sealed].concat()
    }

    /// Opens a record that was found under the key of a device on a day.
    ///
    /// # Errors
    /// When it has another size, was sealed for another group, secret, day or device, or the device
    /// has not signed it.
    pub fn open(
        &self,
        day: Day,
        device: DeviceId,
        record: &[u8],
    ) -> Result<Whereabouts, NotWhereabouts> {
        if record.len() != WHEREABOUTS_BYTES {
            return Err(NotWhereabouts);
        }
        let (nonce, sealed) = record.split_at_checked(NONCE_BYTES).ok_or(NotWhereabouts)?;
        let nonce: Nonce = codec::decode(nonce, NONCE_BYTES).map_err(|_| NotWhereabouts)?;
        let key = self.key(day, device);
        let opened = self.seal_key(day).open(&nonce, &key, sealed).map_err(|_| NotWhereabouts)?;
        let whereabouts = unpadded(&opened).ok_or(NotWhereabouts)?;
        let said = said(&key, whereabouts.counter, &whereabouts.addresses);
        verify(device.as_bytes(), domain::SIGN_WHEREABOUTS, &said, &whereabouts.signature)
            .map_err(|_| NotWhereabouts)?;
        Ok(whereabouts)
    }
}

/// What the device signs. The key stands for group, secret, day and device.
fn said(
    key: &[u8; 32],
    counter: u64,
    addresses: &List<Bytes<ADDRESS_BYTES>, ADDRESSES>,
) -> Vec<u8> {
    codec::encode(&(key, counter, addresses))
}

fn padded(whereabouts: &Whereabouts) -> Vec<u8> {
    let bytes = codec::encode(whereabouts);
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut padded = [length.to_be_bytes().as_slice(), &bytes].concat();
    if padded.len() < OPENED_BYTES {
        padded.resize(OPENED_BYTES, 0);
    }
    padded
}

/// One padding for one content: whatever stands behind it is zero.
fn unpadded(opened: &[u8]) -> Option<Whereabouts> {
    let (length, rest) = opened.split_first_chunk::<2>()?;
    let (bytes, padding) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let whereabouts = codec::decode(bytes, OPENED_BYTES).ok()?;
    padding.iter().all(|byte| *byte == 0).then_some(whereabouts)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    const TODAY: Day = Day(20_000);

    fn secret(number: u8) -> DiscoverySecret {
        DiscoverySecret::from_bytes([number; 32])
    }

    fn device(number: u8) -> (SigningKey, DeviceId) {
        let key = SigningKey::from_seed(&[number; 32]);
        let id = DeviceId::from_bytes(key.verifying_key());
        (key, id)
    }

    fn sealed(counter: u64, addresses: &[Vec<u8>]) -> Vec<u8> {
        let mut rng = ChaCha20Rng::seed_from_u64(counter);
        secret(1).seal(&mut rng, TODAY, &device(1).0, counter, addresses)
    }

    #[test]
    fn m5_members_read_where_a_device_is_and_others_read_nothing() {
        let record = sealed(7, &[vec![4, 127, 0, 0, 1], vec![9; 20]]);
        let id = device(1).1;
        let read = secret(1).open(TODAY, id, &record).unwrap();
        assert_eq!((read.counter, read.addresses.len()), (7, 2));
        assert!(secret(2).open(TODAY, id, &record).is_err(), "after a removal");
        assert!(secret(1).open(Day(20_001), id, &record).is_err(), "on another day");
        assert!(secret(1).open(TODAY, device(2).1, &record).is_err(), "of another device");
        for at in [0, 30, WHEREABOUTS_BYTES - 1] {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert!(secret(1).open(TODAY, id, &changed).is_err(), "{at}");
        }
        assert!(secret(1).open(TODAY, id, &record[1..]).is_err());
        assert!(secret(1).open(TODAY, id, &[record, vec![0]].concat()).is_err());
    }

    #[test]
    fn m5_a_member_cannot_speak_for_another_members_device() {
        // Sealed with the group's secret, under the key of device 1, but signed by device 2.
        let (liar, victim) = (device(2).0, device(1).1);
        let group = secret(1);
        let key = group.key(TODAY, victim);
        let addresses = List::default();
        let signature = liar.sign(domain::SIGN_WHEREABOUTS, &said(&key, 9, &addresses));
        let opened = padded(&Whereabouts { counter: 9, addresses, signature });
        let nonce = Nonce::zero();
        let sealed = group.seal_key(TODAY).seal(&nonce, &key, &opened);
        let record = [codec::encode(&nonce), sealed].concat();
        assert_eq!(record.len(), WHEREABOUTS_BYTES);
        assert_eq!(group.open(TODAY, victim, &record), Err(NotWhereabouts));
    }

    #[test]
    fn m5_every_record_has_one_size_and_every_key_its_own_day_device_and_secret() {
        for many in [0, 1, 3, 16, 40] {
            let addresses: Vec<Vec<u8>> = (0..many).map(|at| vec![at; ADDRESS_BYTES]).collect();
            let record = sealed(1, &addresses);
            assert_eq!(record.len(), WHEREABOUTS_BYTES);
            let read = secret(1).open(TODAY, device(1).1, &record).unwrap();
            assert_eq!(read.addresses.len(), usize::from(many.min(3)), "the first stay");
        }
        let keys = [
            secret(1).key(TODAY, device(1).1),
            secret(1).key(TODAY, device(2).1),
            secret(1).key(Day(20_001), device(1).1),
            secret(2).key(TODAY, device(1).1),
        ];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn m5_the_days_around_a_time_are_its_own_and_its_neighbours() {
        let noon = Timestamp::from_millis(20_000 * DAY_MILLIS + DAY_MILLIS / 2);
        assert_eq!(Day::around(noon), [TODAY, Day(19_999), Day(20_001)]);
        assert_eq!(Day::of(Timestamp::from_millis(DAY_MILLIS - 1)), Day(0));
        assert_eq!(Day::around(Timestamp::default()), [Day(0), Day(0), Day(1)]);
    }

    #[test]
    fn l4_padding_is_zero() {
        let (key, id) = device(1);
        let group = secret(1);
        let place = group.key(TODAY, id);
        let addresses = List::default();
        let signature = key.sign(domain::SIGN_WHEREABOUTS, &said(&place, 9, &addresses));
        let mut opened = padded(&Whereabouts { counter: 9, addresses, signature });
        *opened.last_mut().unwrap() = 1;
        let nonce = Nonce::zero();
        let sealed = group.seal_key(TODAY).seal(&nonce, &place, &opened);
        let record = [codec::encode(&nonce), sealed].concat();
        assert_eq!(group.open(TODAY, id, &record), Err(NotWhereabouts));
    }
}
