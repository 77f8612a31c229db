//! An act that is said again by a device that its member has moved on to (I4).

use std::collections::BTreeMap;

use crate::capability::keeper::Dismiss;
use crate::capability::revocation::{
    ConfirmErase, Pin, PinRight, Remove, Replace, Restore, Revoke,
};
use crate::codec::List;
use crate::id::{EntryId, GrantId};
use crate::log::entry::Control;

/// An act as it is said again; `None` for what is not. An epoch that it carried was bound to the
/// former device: whoever writes next mints one (K2).
pub(crate) fn again(control: Control, became: &BTreeMap<EntryId, EntryId>) -> Option<Control> {
    let now = |id: &EntryId| *became.get(id).unwrap_or(id);
    Some(match control {
        Control::Remove(said) => Control::Remove(Remove { epoch: None, ..said }),
        Control::Revoke(said) => Control::Revoke(Revoke {
            grant: GrantId::of(now(&said.grant.entry())),
            epoch: None,
            ..said
        }),
        Control::Replace(mut said) => {
            said.with.cites = List::new(said.with.cites.iter().map(now).collect()).ok()?;
            Control::Replace(Replace { grant: GrantId::of(now(&said.grant.entry())), ..said })
        }
        Control::Grant(mut grant) => {
            grant.cites = List::new(grant.cites.iter().map(now).collect()).ok()?;
            Control::Grant(grant)
        }
        Control::Restore(said) => Control::Restore(Restore {
            hides: List::new(said.hides.iter().map(now).collect()).ok()?,
        }),
        Control::ConfirmErase(said) => {
            Control::ConfirmErase(ConfirmErase { erase: now(&said.erase) })
        }
        Control::Pin(Pin { by: PinRight::Rank, .. })
        | Control::Hide(_)
        | Control::Erase(_)
        | Control::Unlink(_)
        | Control::Invite(_)
        | Control::Keeper(_) => control,
        Control::Dismiss(said) => Control::Dismiss(Dismiss {
            keepers: List::new(said.keepers.iter().map(now).collect()).ok()?,
        }),
        Control::Genesis(_)
        | Control::Card(_)
        | Control::Rotate(_)
        | Control::Pin(_)
        | Control::Leave(_)
        | Control::Root(_)
        | Control::Epoch(_)
        | Control::Welcome(_)
        | Control::Unknown => return None,
    })
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::capability::grant::Grant;
    use crate::capability::rank::{Abilities, Rank};
    use crate::capability::revocation::{Cut, CutHead, Erase, Hide, Leave};
    use crate::crypto::agreement::SecretKey;
    use crate::crypto::signing::Signature;
    use crate::epoch::secret::{Audience, Mint};
    use crate::id::{DeviceId, GroupId, MemberId};
    use crate::identity::device::Unlink;

    const DEVICE: DeviceId = DeviceId::from_bytes([8; 32]);
    const MEMBER: MemberId = MemberId::from_bytes([9; 32]);
    const HEAD: CutHead = CutHead { seq: 7, entry: id(7) };

    const fn id(n: u8) -> EntryId {
        EntryId::from_bytes([n; 32])
    }

    fn ids<const MAX: usize>(of: [u8; 2]) -> List<EntryId, MAX> {
        List::new(of.map(id).to_vec()).unwrap()
    }

    fn mint() -> Mint {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let prekey = SecretKey::generate(&mut rng).public_key();
        let (group, to) = (GroupId::from_bytes([1; 32]), BTreeMap::from([(DEVICE, prekey)]));
        Mint::fresh(&mut rng, group, DEVICE, Audience::Readers, &to, &[]).unwrap().1
    }

    fn grant(cites: [u8; 2]) -> Grant {
        let (rank, abilities) = (Rank::Member, Abilities::READ);
        Grant { subject: MEMBER, rank, abilities, cites: ids(cites), invite: None }
    }

    fn revoke(of: u8, epoch: Option<Mint>) -> Control {
        Control::Revoke(Revoke { grant: GrantId::of(id(of)), cut: Cut::default(), epoch })
    }

    fn remove(epoch: Option<Mint>) -> Control {
        Control::Remove(Remove { subject: MEMBER, cut: Cut::default(), epoch })
    }

    fn replace(of: u8, cites: [u8; 2]) -> Control {
        let (grant, with) = (GrantId::of(id(of)), grant(cites));
        Control::Replace(Replace { grant, cut: Cut::default(), with })
    }

    fn pin(by: PinRight) -> Control {
        Control::Pin(Pin { device: DEVICE, head: HEAD, by })
    }

    /// What is named among the acts themselves has another id now: 1 became 11. 2 did not change.
    #[test]
    fn i4_an_act_is_said_again_without_its_epoch_and_with_the_ids_of_now() {
        let became = BTreeMap::from([(id(1), id(11))]);
        let restore = |hides| Control::Restore(Restore { hides: ids(hides) });
        let dismiss = |keepers| Control::Dismiss(Dismiss { keepers: ids(keepers) });
        let confirm = |of| Control::ConfirmErase(ConfirmErase { erase: id(of) });
        for (said, anew) in [
            (remove(Some(mint())), remove(None)),
            (revoke(1, Some(mint())), revoke(11, None)),
            (revoke(2, None), revoke(2, None)),
            (replace(1, [1, 2]), replace(11, [11, 2])),
            (Control::Grant(grant([2, 1])), Control::Grant(grant([2, 11]))),
            (restore([1, 2]), restore([11, 2])),
            (confirm(1), confirm(11)),
            (dismiss([2, 1]), dismiss([2, 11])),
        ] {
            assert_eq!(again(said, &became), Some(anew));
        }
    }

    #[test]
    fn i4_what_names_no_act_is_said_again_as_it_is_and_what_was_the_old_devices_is_not() {
        let signature = Signature::from_bytes([3; 64]);
        let erase = Erase { created: id(2), changes: List::default() };
        let unlink = Unlink { member: MEMBER, device: DEVICE, seq: 7, entry: id(7), signature };
        for said in [
            pin(PinRight::Rank),
            Control::Hide(Hide { created: id(2) }),
            Control::Erase(erase),
            Control::Unlink(unlink),
        ] {
            assert_eq!(again(said.clone(), &BTreeMap::new()), Some(said));
        }
        let leave = Leave { grants: List::default(), cut: Cut::default() };
        for said in [
            pin(PinRight::Member(MEMBER, signature)),
            Control::Leave(leave),
            Control::Epoch(mint()),
            Control::Unknown,
        ] {
            assert_eq!(again(said, &BTreeMap::new()), None);
        }
    }
}
