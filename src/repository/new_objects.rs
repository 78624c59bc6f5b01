//! Objects that this server makes: gathered in memory, and handed on as the pack that a client would have sent, so that they come
//! in by the same checks (`receive`).

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use sha1::Digest;

use super::object::{ObjectKind, object_id};
use super::pack::entry::{EntryHeader, EntryKind};
use crate::names::ObjectId;

/// New objects, each once.
#[derive(Debug, Clone, Default)]
pub struct NewObjects {
    order: Vec<ObjectId>,
    by_id: HashMap<ObjectId, (ObjectKind, Arc<[u8]>)>,
}

impl NewObjects {
    /// Takes an object in, and gives its id.
    pub fn add(&mut self, kind: ObjectKind, data: impl Into<Arc<[u8]>>) -> ObjectId {
        let data = data.into();
        let id = object_id(kind, &data);
        self.by_id.entry(id).or_insert_with(|| {
            self.order.push(id);
            (kind, data)
        });
        id
    }

    /// An object that was taken in.
    pub fn get(&self, id: &ObjectId) -> Option<(ObjectKind, &Arc<[u8]>)> {
        self.by_id.get(id).map(|(kind, data)| (*kind, data))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The objects as a pack of version 2, each whole.
    pub fn to_pack(&self) -> io::Result<Vec<u8>> {
        let n_objects = u32::try_from(self.order.len()).map_err(|_| io::Error::other("too many objects for a pack"))?;
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&n_objects.to_be_bytes());
        for id in &self.order {
            let Some((kind, data)) = self.by_id.get(id) else { continue };
            EntryHeader::write(&EntryKind::Whole(*kind), data.len() as u64, &mut pack);
            let mut encoder = flate2::write::ZlibEncoder::new(&mut pack, flate2::Compression::default());
            encoder.write_all(data)?;
            encoder.finish()?;
        }
        let digest: [u8; 20] = sha1::Sha1::digest(&pack).into();
        pack.extend_from_slice(&digest);
        Ok(pack)
    }
}

/// Who made a commit, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name; what no commit can hold is left out of it.
    pub name: String,
    /// The mail address; what no commit can hold is left out of it.
    pub email: String,
    /// Seconds since the Unix epoch.
    pub seconds: i64,
}

impl Author {
    /// `Name <email> seconds +0000`.
    fn line(&self) -> String {
        // The characters by which Git tells the parts apart (`strbuf_addstr_without_crud`).
        let clean = |text: &str| text.replace(['<', '>', '\n', '\0'], "").trim().to_owned();
        let (name, email) = (clean(&self.name), clean(&self.email));
        // Git's own reader wants a blank between name and address, whether or not there is a name.
        format!("{name} <{email}> {} +0000", self.seconds.max(0))
    }
}

/// A commit's bytes.
pub fn commit_bytes(tree: &ObjectId, parents: &[ObjectId], author: &Author, message: &str) -> Vec<u8> {
    let who = author.line();
    let mut out = format!("tree {tree}\n");
    for parent in parents {
        out.push_str(&format!("parent {parent}\n"));
    }
    out.push_str(&format!("author {who}\ncommitter {who}\n\n"));
    out.push_str(&message.replace('\0', ""));
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::fsck::Fsck;

    #[test]
    fn whatever_people_are_called_the_commit_is_sound() {
        let tree = object_id(ObjectKind::Tree, b"");
        for (name, email) in [("A B", "a@b"), ("", ""), ("a<b>\nc\0", "<x>\ny"), (" \t", "é")] {
            let author = Author { name: name.into(), email: email.into(), seconds: -5 };
            let commit = commit_bytes(&tree, &[tree], &author, "text\0 and more");
            let mut fsck = Fsck::new();
            fsck.check_object(&object_id(ObjectKind::Commit, &commit), ObjectKind::Commit, &commit);
            assert!(fsck.report().findings().is_empty(), "{}", String::from_utf8_lossy(&commit));
        }
    }
}
