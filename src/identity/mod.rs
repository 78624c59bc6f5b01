//! identity.

/// Who is asking, proven by a credential. (Placeholder of this worktree: the identity module defines it.)
#[derive(Debug, Clone)]
pub struct Principal {
    /// A name for logs.
    pub name: String,
}
