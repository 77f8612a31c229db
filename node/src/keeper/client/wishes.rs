//! What is wished for, in the requests that bring it.

use cairn_crdt::codec::{Bytes, List};
use cairn_crdt::id::RecordId;
use cairn_crdt::limits::{ANSWER_BYTES, NAMED_RECORDS, PUT_RECORDS};
use cairn_crdt::mailbox::Cursor;
use cairn_crdt::mailbox::message::{KeeperReply, KeeperRequest, NewRecord, Putting};

use super::talk::{Heard, Talk};
use super::told::{self, Lie};
use super::{Failure, Told, Wish, compare};

impl Talk<'_> {
    pub(super) async fn grant(&mut self, wish: Wish) -> Heard<Told> {
        match wish {
            Wish::Create { secret, owner, access, control } => {
                let create = KeeperRequest::Create { secret: *secret, owner, access, control };
                self.simple(&create, &KeeperReply::Created, Told::Created).await
            }
            Wish::Use(access, seen) => {
                self.config.access = access;
                self.config.seen = seen;
                Ok(self.enter().await?.map(Told::Opened))
            }
            Wish::Addresses(addresses) => {
                self.config.addresses = addresses;
                Ok(Ok(Told::Done))
            }
            Wish::Put(records) => self.put(records).await,
            Wish::Get { after, bytes } => {
                let get = KeeperRequest::Get { after, bytes };
                self.records_after(&get, after).await
            }
            Wish::Watch { .. } => Ok(Err(Failure::Unavailable)),
            Wish::Renew(ids) => {
                let mut unknown = Vec::new();
                for part in ids.chunks(NAMED_RECORDS) {
                    let renew = KeeperRequest::Renew(list(part.to_vec()));
                    match self.request(&renew).await? {
                        Ok(KeeperReply::Unknown(ids)) => {
                            unknown.extend(told::some_of(part.iter().copied(), ids)?);
                        }
                        Ok(_) => return Err(Lie::Answer.into()),
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                Ok(Ok(Told::Unknown(unknown)))
            }
            Wish::Fetch(ids) => self.fetch(&ids).await,
            Wish::Compare(ids) => {
                let there = self.open.as_ref().map_or(0, |state| state.records);
                Ok(compare::run(self, there, ids)
                    .await?
                    .map(|(lacks, holds)| Told::Compared { lacks, holds }))
            }
            Wish::Erase(named) => {
                let mut kept = Vec::new();
                for part in named.chunks(NAMED_RECORDS / 4) {
                    let erase = KeeperRequest::Erase(list(part.to_vec()));
                    match self.request(&erase).await? {
                        Ok(KeeperReply::NotErased(ids)) => {
                            kept.extend(told::some_of(part.iter().map(|(id, _)| *id), ids)?);
                        }
                        Ok(_) => return Err(Lie::Answer.into()),
                        Err(failure) => return Ok(Err(failure)),
                    }
                }
                Ok(Ok(Told::NotErased(kept)))
            }
            Wish::Rotate(signed) => {
                let rotate = KeeperRequest::Rotate(signed);
                let told = self.simple(&rotate, &KeeperReply::Rotated, Told::Rotated).await?;
                if told.is_ok() {
                    self.open = None;
                }
                Ok(told)
            }
            Wish::OpenDrop(drop, expires) => {
                let open = KeeperRequest::OpenDrop { drop, expires };
                self.simple(&open, &KeeperReply::Done, Told::Done).await
            }
            Wish::CloseDrop(drop) => {
                let close = KeeperRequest::CloseDrop(drop);
                self.simple(&close, &KeeperReply::Done, Told::Done).await
            }
            Wish::DropGet(drop, after) => {
                let get = KeeperRequest::DropGet { drop, after };
                self.records_after(&get, after).await
            }
            Wish::DropPut(drop, bytes) => {
                let Ok(record) = Bytes::new(bytes) else { return Ok(Err(Failure::TooLarge)) };
                let put = KeeperRequest::DropPut { drop, record };
                Ok(self.puttings(&put, 1, None).await?.map(Told::Put))
            }
        }
    }

    /// A request with one good answer that says nothing more.
    async fn simple(
        &mut self,
        request: &KeeperRequest,
        good: &KeeperReply,
        told: Told,
    ) -> Heard<Told> {
        match self.request(request).await? {
            Ok(reply) if reply == *good => Ok(Ok(told)),
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    async fn put(&mut self, records: Vec<NewRecord>) -> Heard<Told> {
        let mut puttings = Vec::with_capacity(records.len());
        let mut part: Vec<NewRecord> = Vec::new();
        let mut bytes: usize = 0;
        for record in records {
            let size = record.bytes.as_slice().len();
            let full = bytes.saturating_add(size) > ANSWER_BYTES || part.len() >= PUT_RECORDS;
            if full && !part.is_empty() {
                match self.put_part(std::mem::take(&mut part)).await? {
                    Ok(told) => puttings.extend(told),
                    Err(failure) => return Ok(Err(failure)),
                }
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            part.push(record);
        }
        if !part.is_empty() {
            match self.put_part(part).await? {
                Ok(told) => puttings.extend(told),
                Err(failure) => return Ok(Err(failure)),
            }
        }
        Ok(Ok(Told::Put(puttings)))
    }

    async fn put_part(&mut self, part: Vec<NewRecord>) -> Heard<Vec<Putting>> {
        let count = part.len();
        let seen = self.config.seen.map(|seen| seen.newest);
        self.puttings(&KeeperRequest::Put(list(part)), count, seen).await
    }

    async fn puttings(
        &mut self,
        request: &KeeperRequest,
        count: usize,
        after: Option<Cursor>,
    ) -> Heard<Vec<Putting>> {
        match self.request(request).await? {
            Ok(KeeperReply::Put(puttings)) => Ok(Ok(told::put(count, puttings, after)?)),
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    async fn records_after(&mut self, request: &KeeperRequest, after: Cursor) -> Heard<Told> {
        match self.request(request).await? {
            Ok(KeeperReply::Records { records, more }) => {
                let records = told::after(after, records, more)?;
                Ok(Ok(Told::Records { records, more }))
            }
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// As much as comes in one answer; what was named last may have to be asked for again.
    async fn fetch(&mut self, ids: &[RecordId]) -> Heard<Told> {
        let part: Vec<_> = ids.iter().copied().take(NAMED_RECORDS).collect();
        match self.request(&KeeperRequest::Fetch(list(part.clone()))).await? {
            Ok(KeeperReply::Records { records, more }) => {
                let (records, answered) = told::named(&part, records, more)?;
                Ok(Ok(Told::Records { records, more: answered < ids.len() }))
            }
            Ok(_) => Err(Lie::Answer.into()),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

/// What was cut to its bound before.
fn list<T, const MAX: usize>(values: Vec<T>) -> List<T, MAX> {
    List::new(values).unwrap_or_default()
}
