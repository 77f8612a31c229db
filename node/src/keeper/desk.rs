//! The store's thread: takes requests, answers them in transactions, tells who watches.
//!
//! Requests that wait together are written together, because each transaction costs a sync of the
//! disk. Should one of them fail, all are done again, each alone: nobody pays for another's failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest};
use cairn_crdt::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::mailbox::{Answer, News, Rules, Swept, Visit, sweep};
use super::metrics::Metrics;
use super::policy::{self, Limits};
use super::rates::Rates;
use super::storage::rows;
use super::storage::{MailboxRow, Store, StoreError};

/// What time it is; the node's clock, or a test's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Something for the store's thread.
pub(super) enum Job {
    /// A client asks.
    Ask(Box<Asked>),
    /// Delete what is over; say so to who waits for it.
    Sweep(Option<oneshot::Sender<()>>),
    /// Look at what another process has written, for those who watch.
    Look,
}

/// A request, and where the answer goes.
pub(super) struct Asked {
    pub(super) visit: Visit,
    pub(super) request: KeeperRequest,
    /// Bytes of the request.
    pub(super) bytes: u64,
    /// Random.
    pub(super) fresh: [u8; 32],
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Who watches which mailbox. Bounded by the streams there are.
#[derive(Clone, Default)]
pub(super) struct Watched(Arc<Mutex<BTreeMap<MailboxRow, watch::Sender<Option<News>>>>>);

impl Watched {
    /// Hears of a mailbox from now on.
    pub(super) fn watch(&self, row: MailboxRow) -> watch::Receiver<Option<News>> {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, sender| !sender.is_closed());
        watched.entry(row).or_insert_with(|| watch::Sender::new(None)).subscribe()
    }

    fn tell(&self, news: News) {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&news.row) {
            sender.send_if_modified(|known| known.replace(news) != Some(news));
        }
    }

    fn rows(&self) -> Vec<MailboxRow> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watched.iter().filter(|(_, sender)| !sender.is_closed()).map(|(row, _)| *row).collect()
    }
}

/// What the store's threads share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) watched: Watched,
    pub(super) metrics: Arc<Metrics>,
    pub(super) rates: Arc<Mutex<Rates>>,
    pub(super) jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
}

/// A store's thread, to be run to its end on a thread of its own.
pub struct Desk {
    store: Box<dyn Store>,
    shared: Shared,
    /// What is over is being deleted; who waits for that.
    sweeping: Option<Vec<oneshot::Sender<()>>>,
}

impl Desk {
    pub(super) const fn new(store: Box<dyn Store>, shared: Shared) -> Self {
        Self { store, shared, sweeping: None }
    }

    /// Works until nobody is left who could ask. Blocks. Between two requests a bounded part of what
    /// is over is deleted, so that nobody waits for all of it.
    pub fn run(mut self) {
        while let Some(jobs) = self.next() {
            self.work(jobs);
            self.sweep();
        }
    }

    /// The jobs that wait, if nothing else is to be done; else the first that comes, and those behind.
    fn next(&self) -> Option<Vec<Job>> {
        let mut waiting = self.shared.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = Vec::new();
        if self.sweeping.is_none() {
            jobs.push(waiting.blocking_recv()?);
        }
        while jobs.len() < self.store.together() {
            match waiting.try_recv() {
                Ok(job) => jobs.push(job),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) if jobs.is_empty() => return None,
                Err(mpsc::error::TryRecvError::Disconnected) => break,
            }
        }
        Some(jobs)
    }

    fn work(&mut self, jobs: Vec<Job>) {
        let mut asked = Vec::new();
        for job in jobs {
            match job {
                Job::Ask(ask) => asked.extend(self.within_rate(*ask)),
                Job::Sweep(done) => self.sweeping.get_or_insert_default().extend(done),
                Job::Look => self.look(),
            }
        }
        if asked.is_empty() {
            return;
        }
        match self.answers(&asked) {
            Ok(answers) => self.tell(asked.into_iter().zip(answers)),
            Err(_) if asked.len() > 1 => {
                for ask in asked {
                    let answers = self.answers(std::slice::from_ref(&ask));
                    self.alone(ask, answers);
                }
            }
            Err(error) => asked.into_iter().for_each(|ask| self.unavailable(ask, &error)),
        }
    }

    fn alone(&mut self, ask: Asked, answers: Result<Vec<Answer>, StoreError>) {
        match answers {
            Ok(answers) => self.tell(std::iter::once(ask).zip(answers)),
            Err(error) => self.unavailable(ask, &error),
        }
    }

    fn unavailable(&self, ask: Asked, error: &StoreError) {
        tracing::warn!(%error, "a request was not answered");
        self.shared.metrics.failures.add(1);
        let place = ask.visit.place;
        // Whoever asked may be gone.
        drop(ask.answer.send(Answer::new(place, KeeperReply::Unavailable)));
    }

    /// The request, unless those who pay for it have asked too much.
    fn within_rate(&self, ask: Asked) -> Option<Asked> {
        let Some(payer) = ask.visit.place.payer() else { return Some(ask) };
        let cost = ask.bytes.saturating_add(policy::REQUEST_COST);
        let now = (self.shared.clock)();
        let taken =
            self.shared.rates.lock().unwrap_or_else(PoisonError::into_inner).take(payer, now, cost);
        let Err(millis) = taken else { return Some(ask) };
        self.shared.metrics.later.add(1);
        drop(ask.answer.send(Answer::new(ask.visit.place, KeeperReply::Later { millis })));
        None
    }

    fn answers(&mut self, asked: &[Asked]) -> Result<Vec<Answer>, StoreError> {
        let (limits, now) = (self.shared.limits, (self.shared.clock)());
        let mut answers = Vec::new();
        self.store.within(&mut |tables| {
            answers = Vec::with_capacity(asked.len());
            for ask in asked {
                let mut rules = Rules { tables, limits: &limits, now, visit: ask.visit };
                answers.push(rules.answer(&ask.request, &ask.fresh)?);
            }
            Ok(())
        })?;
        Ok(answers)
    }

    fn tell(&mut self, answers: impl Iterator<Item = (Asked, Answer)>) {
        let mut deleted = false;
        for (ask, answer) in answers {
            if let Some(news) = answer.news {
                self.shared.watched.tell(news);
            }
            if let Some(payer) = answer.place.payer() {
                let mut rates = self.shared.rates.lock().unwrap_or_else(PoisonError::into_inner);
                rates.spend(payer, answer.cost);
            }
            deleted |= answer.deleted;
            drop(ask.answer.send(answer));
        }
        if deleted {
            self.store.overwrite();
        }
    }

    /// Deletes a part of what is over, if there is anything to be deleted.
    fn sweep(&mut self) {
        if self.sweeping.is_none() {
            return;
        }
        let (limits, now) = (self.shared.limits, (self.shared.clock)());
        let mut swept = Swept::default();
        let done = self.store.within(&mut |tables| {
            swept = sweep(tables, &limits, now)?;
            Ok(())
        });
        if let Err(error) = &done {
            tracing::warn!(%error, "what is over was not deleted");
        }
        if swept.deleted {
            self.store.overwrite();
        }
        if done.is_err() || !swept.more {
            self.sweeping = None;
        }
    }

    fn look(&mut self) {
        for row in self.shared.watched.rows() {
            let mut found = None;
            let looked = self.store.within(&mut |tables| {
                found = rows::mailbox_at(tables, row)?;
                Ok(())
            });
            if let (Ok(()), Some(mailbox)) = (looked, found) {
                self.shared.watched.tell(News::of(&mailbox));
            }
        }
    }
}
