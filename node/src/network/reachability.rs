//! Whether others can reach this node, and how that is known.

use super::keepers::Count;

/// By which way others can reach a persona's node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum How {
    /// From anywhere, without a relay.
    Direct,
    /// From anywhere, through a keeper's relay.
    Relay,
    /// On the same machine or the same local network.
    Local,
    /// Not at all: it calls others, or waits.
    None,
    /// Nobody has found out.
    #[default]
    Unknown,
}

/// Why it is so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Why {
    /// A keeper called back, and came through.
    CalledBack,
    /// The router has opened a port when asked to (UPnP).
    RouterOpened,
    /// Somebody from outside has called.
    WasCalled,
    /// A keeper holds a place at its relay.
    PlaceHeld,
    /// It listens on this machine only.
    ThisMachineOnly,
    /// Keepers called back, and did not come through.
    BehindRouter,
    /// The group has no keeper that could try.
    #[default]
    NoKeeper,
    /// No keeper can be reached.
    KeepersAway,
    /// Keepers have no place at their relays.
    RelaysFull,
    /// It is being found out.
    Trying,
    /// The proxy does not answer.
    ProxyDown,
    /// It listens nowhere.
    ListensNowhere,
}

/// How others can reach a persona's node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reachability {
    /// By which way.
    pub how: How,
    /// Why.
    pub why: Why,
}

/// What a judgement rests on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Whether the node has listening sockets at all, by its way.
    pub(super) may_listen: bool,
    /// Whether some address is listened on, and whether one of them is not of this machine only.
    pub(super) listens: (bool, bool),
    /// A keeper called back at an address.
    pub(super) called_back: bool,
    /// The router opened a port.
    pub(super) router_opened: bool,
    /// A connection came from outside.
    pub(super) was_called: bool,
    /// Keepers tried and did not come through.
    pub(super) refuted: bool,
    /// The proxy does not answer.
    pub(super) proxy_down: bool,
    /// The keepers.
    pub(super) keepers: Count,
}

impl Facts {
    /// Whether somebody outside can call without a relay.
    pub(super) const fn direct(&self) -> bool {
        self.may_listen && (self.called_back || self.router_opened || self.was_called)
    }

    /// The judgement.
    pub(super) const fn judge(&self) -> Reachability {
        let (how, why) = if self.proxy_down {
            (How::None, Why::ProxyDown)
        } else if self.may_listen && self.called_back {
            (How::Direct, Why::CalledBack)
        } else if self.may_listen && self.was_called {
            (How::Direct, Why::WasCalled)
        } else if self.may_listen && self.router_opened {
            (How::Direct, Why::RouterOpened)
        } else if self.keepers.held > 0 {
            (How::Relay, Why::PlaceHeld)
        } else if !self.may_listen {
            match self.without() {
                Why::Trying => (How::Unknown, Why::Trying),
                why => (How::None, why),
            }
        } else if !self.listens.0 {
            (How::None, Why::ListensNowhere)
        } else if !self.listens.1 {
            (How::Local, Why::ThisMachineOnly)
        } else if self.refuted {
            (How::Local, Why::BehindRouter)
        } else {
            (How::Unknown, self.without())
        };
        Reachability { how, why }
    }

    /// Why no keeper is of use.
    const fn without(&self) -> Why {
        if self.keepers.all == 0 {
            Why::NoKeeper
        } else if self.keepers.connected == 0 {
            Why::KeepersAway
        } else if self.keepers.refusing == self.keepers.connected {
            Why::RelaysFull
        } else {
            Why::Trying
        }
    }
}

impl How {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Local => "local",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

impl Reachability {
    /// For a person: whether others can reach them, and because of what.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self.why {
            Why::CalledBack => {
                "Others can reach you directly, because a keeper called you back and came through."
            }
            Why::RouterOpened => {
                "Others can reach you directly, because your router has opened a port for you."
            }
            Why::WasCalled => {
                "Others can reach you directly, because somebody outside your network has."
            }
            Why::PlaceHeld => {
                "Others can reach you through a relay, because a keeper holds a place for you."
            }
            Why::ThisMachineOnly => {
                "Others can reach you on this machine only, because your node listens nowhere else."
            }
            Why::BehindRouter => {
                "Others can reach you on your local network only, because your router lets nobody \
                 in and no keeper relays for you."
            }
            Why::NoKeeper if matches!(self.how, How::None) => {
                "Others cannot reach you at all, because your node does not listen by itself and \
                 this group has no keeper that relays."
            }
            Why::NoKeeper => {
                "Whether others can reach you from outside is not known, because this group has no \
                 keeper that could try."
            }
            Why::KeepersAway if matches!(self.how, How::None) => {
                "Others cannot reach you at all, because none of this group's keepers answers."
            }
            Why::KeepersAway => {
                "Whether others can reach you from outside is not known, because none of this \
                 group's keepers answers."
            }
            Why::RelaysFull if matches!(self.how, How::None) => {
                "Others cannot reach you at all, because the keepers have no place for you now."
            }
            Why::RelaysFull => {
                "Whether others can reach you from outside is not known, because the keepers have \
                 no place for you now."
            }
            Why::Trying => "Whether others can reach you is being found out.",
            Why::ProxyDown => {
                "Others cannot reach you, nor you them, because the proxy does not answer."
            }
            Why::ListensNowhere => "Others cannot reach you, because your node listens nowhere.",
        }
    }

    /// What a person can do about it, if something.
    #[must_use]
    pub const fn hint(self) -> Option<&'static str> {
        match self.why {
            Why::CalledBack | Why::RouterOpened | Why::WasCalled | Why::PlaceHeld => None,
            Why::ThisMachineOnly => Some("Leave out --listen to let others call."),
            Why::BehindRouter => Some(
                "Members meet when one of you can be called. Ask your founder for a keeper that \
                 relays, or forward a port of your router to your node.",
            ),
            Why::NoKeeper => Some(
                "A founder can add a keeper, which also relays: `cairn group keeper add`. Members \
                 on one local network meet without.",
            ),
            Why::KeepersAway => Some(
                "Your node goes on trying. If your own line works, tell whoever runs the keeper.",
            ),
            Why::RelaysFull => Some(
                "Your node asks again by itself. Whoever runs the keeper can raise its limits.",
            ),
            Why::Trying => Some("Look again in a minute."),
            Why::ProxyDown => Some(
                "Start the proxy, or say `--proxy none` to go without. Your node goes on trying.",
            ),
            Why::ListensNowhere => Some("Look at --listen, and at which ports are taken."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Facts {
        Facts { may_listen: true, listens: (true, true), ..Facts::default() }
    }

    fn keepers(all: usize, connected: usize, held: usize, refusing: usize) -> Count {
        Count { all, connected, held, refusing }
    }

    #[test]
    fn each_judgement_has_its_reason() {
        let judged = |facts: Facts| (facts.judge().how, facts.judge().why);
        assert_eq!(judged(open()), (How::Unknown, Why::NoKeeper));
        let away = Facts { keepers: keepers(1, 0, 0, 0), ..open() };
        assert_eq!(judged(away), (How::Unknown, Why::KeepersAway));
        let trying = Facts { keepers: keepers(1, 1, 0, 0), ..open() };
        assert_eq!(judged(trying), (How::Unknown, Why::Trying));
        let held = Facts { keepers: keepers(1, 1, 1, 0), refuted: true, ..open() };
        assert_eq!(judged(held), (How::Relay, Why::PlaceHeld));
        let full = Facts { keepers: keepers(1, 1, 0, 1), refuted: true, ..open() };
        assert_eq!(judged(full), (How::Local, Why::BehindRouter));
        assert_eq!(judged(Facts { called_back: true, ..held }), (How::Direct, Why::CalledBack));
        assert_eq!(judged(Facts { was_called: true, ..open() }), (How::Direct, Why::WasCalled));
        assert_eq!(
            judged(Facts { router_opened: true, ..open() }),
            (How::Direct, Why::RouterOpened)
        );
        let here = Facts { listens: (true, false), ..open() };
        assert_eq!(judged(here), (How::Local, Why::ThisMachineOnly));
        let nowhere = Facts { listens: (false, false), ..open() };
        assert_eq!(judged(nowhere), (How::None, Why::ListensNowhere));
    }

    #[test]
    fn with_relays_only_there_is_no_way_without_a_relay() {
        let closed = Facts { called_back: true, was_called: true, ..Facts::default() };
        assert!(!closed.direct());
        assert_eq!(closed.judge(), Reachability { how: How::None, why: Why::NoKeeper });
        let full = Facts { keepers: keepers(2, 1, 0, 1), ..closed };
        assert_eq!(full.judge(), Reachability { how: How::None, why: Why::RelaysFull });
        let held = Facts { keepers: keepers(2, 1, 1, 0), ..closed };
        assert_eq!(held.judge().how, How::Relay);
        let down = Facts { proxy_down: true, ..held };
        assert_eq!(down.judge(), Reachability { how: How::None, why: Why::ProxyDown });
    }

    #[test]
    fn whoever_is_not_reached_is_told_what_to_do() {
        for how in [How::Local, How::None, How::Unknown] {
            for why in [
                Why::ThisMachineOnly,
                Why::BehindRouter,
                Why::NoKeeper,
                Why::KeepersAway,
                Why::RelaysFull,
                Why::Trying,
                Why::ProxyDown,
                Why::ListensNowhere,
            ] {
                let judged = Reachability { how, why };
                assert!(judged.sentence().ends_with('.') && judged.hint().is_some(), "{why:?}");
            }
        }
    }
}
