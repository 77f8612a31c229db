//! Groups that are new to this home: founded, or asked to be let into.

use cairn_crdt::capability::grant::History;
use cairn_crdt::capability::invite::Code;
use cairn_crdt::id::GroupId;
use cairn_crdt::identity::seed::Seed;
use cairn_crdt::replica::effect::Effect;
use cairn_crdt::replica::{Founding, Joining, Replica, ReplicaState};
use cairn_crdt::time::Timestamp;

use super::persona::Persona;
use super::{Driver, SEED_SETTING};
use crate::api::command::{ApiError, HistoryChoice};
use crate::network::NetworkCommand;
use crate::storage::{MEMBER_SETTING, StorageError};

impl Driver {
    /// Founds a group.
    pub(super) fn found(
        &mut self,
        now: Timestamp,
        name: String,
        pseudonym: String,
        history: HistoryChoice,
    ) -> Result<GroupId, ApiError> {
        let seed = self.seed()?;
        let history = match history {
            HistoryChoice::SinceJoining => History::SinceJoining,
            HistoryChoice::All => History::All,
        };
        let founding = Founding { seed: &seed, name, pseudonym, history };
        let (replica, effects) = Replica::found(now, &mut self.desk.rng, founding)?;
        self.adopt(now, replica, effects)
    }

    /// Asks to be let into a group.
    pub(super) fn join(
        &mut self,
        now: Timestamp,
        code: &str,
        pseudonym: String,
        words: String,
    ) -> Result<GroupId, ApiError> {
        let code = Code::from_text(code)?;
        let group = code.group;
        let state = self.personas.get(&group).map(Persona::state);
        let again = match state {
            None => false,
            Some(Some(ReplicaState::Waiting | ReplicaState::Declined)) => true,
            Some(Some(ReplicaState::Member)) => {
                return Err(ApiError::refused("you are a member of this group already"));
            }
            Some(_) => {
                return Err(ApiError::refused(
                    "you were in this group before, and what you could read then is still here",
                )
                .hinted("To come back, join with a home of its own: another --home."));
            }
        };
        let seed = self.seed()?;
        let joining = Joining { seed: &seed, code, pseudonym, words };
        let (replica, effects) = Replica::join(now, &mut self.desk.rng, joining)?;
        if again {
            // The request before was never answered with a yes: nothing of worth is held of it.
            self.forget(group)?;
        }
        self.adopt(now, replica, effects)
    }

    /// Takes a new replica in: first to disk, then among the others, then to its network.
    fn adopt(
        &mut self,
        now: Timestamp,
        replica: Replica,
        effects: Vec<Effect>,
    ) -> Result<GroupId, ApiError> {
        let group = replica.group();
        let mut writes = Vec::new();
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(more) => writes.extend(more),
                other => rest.push(other),
            }
        }
        self.desk.store.add_group(group, &writes)?;
        let member = replica.member();
        self.personas.insert(group, Persona::new(replica, rest));
        // Whatever fails from here on, the group is there, and the next start puts it right.
        if let Err(error) =
            self.desk.store.set_group_setting(group, MEMBER_SETTING, member.as_bytes())
        {
            tracing::warn!(%error, "a new group's setting could not be stored");
        }
        self.revive(now, group)?;
        Ok(group)
    }

    fn forget(&mut self, group: GroupId) -> Result<(), ApiError> {
        self.desk.store.forget_group(group)?;
        self.desk.timers.forget(group);
        self.desk.fail_all(group, &ApiError::unavailable("the group was joined anew"));
        if let Some(mut persona) = self.personas.remove(&group) {
            persona.link.send(NetworkCommand::Shutdown);
        }
        Ok(())
    }

    pub(super) fn seed(&self) -> Result<Seed, ApiError> {
        let stored = self.desk.store.setting(SEED_SETTING)?;
        let bytes = stored.and_then(|bytes| bytes.as_slice().try_into().ok());
        let damaged = StorageError::Damaged { what: "the recovery seed in the store" };
        Ok(Seed::from_bytes(bytes.ok_or(damaged)?))
    }
}
