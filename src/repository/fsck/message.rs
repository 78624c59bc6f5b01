//! Git's fsck messages about objects, and what each does to a push.
//!
//! The names are those of `git help fsck-msgids`, so that people find them. What a message does follows `git index-pack --strict`,
//! where warnings are errors too:
//!
//! | Git says | here | which |
//! |---|---|---|
//! | fatal, error | error | all of them |
//! | warning | error | all of them: attack checklist A6 and B6 want each of `hasDotgit`, `zeroPaddedFilemode`, ... refused |
//! | info | warning | `badFilemode`, `badTagName`, `gitattributesSymlink`, `gitignoreSymlink`, `gitmodulesParse`, `mailmapSymlink`, `missingTaggerEntry`: real history has them |
//! | ignored | note | `extraHeaderEntry` |
//!
//! Stricter than Git, with Git's nearest message, each of them an error:
//!
//! | what | message | why |
//! |---|---|---|
//! | a mode whose type bits name nothing | `badTree` | Git reads it as a submodule, others as a file (B6) |
//! | an entry without a name | `emptyName` | Git says `badTree`, which tells people less |
//! | a second `gpgsig` or `gpgsig-sha256` in a commit or tag | `badGpgsig` | verifiers differ in which they check (B6) |
//! | a control character in a submodule's name, URL or path | `gitmodulesName`, `gitmodulesUrl`, `gitmodulesPath` | A7, CVE-2025-48384 |
//! | a `.gitmodules` over 4 MiB | `gitmodulesLarge` | Git's limit is the memory it has |
//!
//! Hosts with much old history let three errors pass ([`TOLERATED_IN_OLD_HISTORY`]): `badTimezone` and `missingSpaceBeforeDate`
//! (both in well-known repositories of 2010 to 2012) and `zeroPaddedFilemode` (early GitHub tools). A push gets no such grace,
//! for new objects have no excuse; an import may ask for it. Messages about ref files are not here, as there are no ref files.

use std::fmt;

/// What a message does to the object it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Counted and kept, not shown to the pusher.
    Note,
    /// Shown to the pusher; the object is taken.
    Warning,
    /// The object is refused.
    Error,
}

/// How Git itself grades a message, before `--strict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GitSeverity {
    /// Not reported unless asked for.
    Ignore,
    /// Reported as a warning, and stays one under `--strict`.
    Info,
    /// A warning, and an error under `--strict`.
    Warn,
    /// An error.
    Error,
    /// An error that no setting turns off.
    Fatal,
}

macro_rules! messages {
    ($($(#[$doc:meta])* $id:ident $name:literal $git:ident,)*) => {
        /// One of Git's fsck messages about objects.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MessageId {
            $($(#[$doc])* $id,)*
        }

        impl MessageId {
            /// All of them, in Git's order.
            pub const ALL: &'static [MessageId] = &[$(MessageId::$id,)*];

            /// The name in Git's documentation and settings, such as `hasDotgit`.
            pub fn name(self) -> &'static str {
                match self {
                    $(MessageId::$id => $name,)*
                }
            }

            /// How Git grades it.
            pub fn git_severity(self) -> GitSeverity {
                match self {
                    $(MessageId::$id => GitSeverity::$git,)*
                }
            }
        }
    };
}

messages! {
    /// A NUL byte before the message of a commit or tag.
    NulInHeader "nulInHeader" Fatal,
    /// The header does not end in a line feed.
    UnterminatedHeader "unterminatedHeader" Fatal,
    /// A continuation line of a signature does not end.
    BadHeaderContinuation "badHeaderContinuation" Error,
    /// The seconds of a date are no number.
    BadDate "badDate" Error,
    /// The seconds of a date do not fit 63 bits.
    BadDateOverflow "badDateOverflow" Error,
    /// No `>` ends the email.
    BadEmail "badEmail" Error,
    /// A signature header does not end, or there are two.
    BadGpgsig "badGpgsig" Error,
    /// A `>` stands in the name.
    BadName "badName" Error,
    /// A tag's `object` line holds no id.
    BadObjectSha1 "badObjectSha1" Error,
    /// A `parent` line holds no id.
    BadParentSha1 "badParentSha1" Error,
    /// The time zone is not a sign and four digits.
    BadTimezone "badTimezone" Error,
    /// The tree cannot be read.
    BadTree "badTree" Error,
    /// The `tree` line holds no id.
    BadTreeSha1 "badTreeSha1" Error,
    /// A tag's `type` line names no type.
    BadType "badType" Error,
    /// Two entries of a tree have one name.
    DuplicateEntries "duplicateEntries" Error,
    /// What a tree calls `.gitattributes` is no blob.
    GitattributesBlob "gitattributesBlob" Error,
    /// A `.gitattributes` is too large to be read.
    GitattributesLarge "gitattributesLarge" Error,
    /// A `.gitattributes` has a line of 2048 bytes or more.
    GitattributesLineLength "gitattributesLineLength" Error,
    /// A `.gitattributes` is not there.
    GitattributesMissing "gitattributesMissing" Error,
    /// What a tree calls `.gitmodules` is no blob.
    GitmodulesBlob "gitmodulesBlob" Error,
    /// A `.gitmodules` is too large to be read.
    GitmodulesLarge "gitmodulesLarge" Error,
    /// A `.gitmodules` is not there.
    GitmodulesMissing "gitmodulesMissing" Error,
    /// A submodule's name would lead out of its folder.
    GitmodulesName "gitmodulesName" Error,
    /// A submodule's path could be read as an option.
    GitmodulesPath "gitmodulesPath" Error,
    /// `.gitmodules` is a symbolic link.
    GitmodulesSymlink "gitmodulesSymlink" Error,
    /// A submodule's update setting runs a command.
    GitmodulesUpdate "gitmodulesUpdate" Error,
    /// A submodule's URL could be read as an option or as something else than it looks.
    GitmodulesUrl "gitmodulesUrl" Error,
    /// A commit has no author.
    MissingAuthor "missingAuthor" Error,
    /// A commit has no committer.
    MissingCommitter "missingCommitter" Error,
    /// No email follows the name.
    MissingEmail "missingEmail" Error,
    /// No name stands before the email.
    MissingNameBeforeEmail "missingNameBeforeEmail" Error,
    /// A tag has no `object` line.
    MissingObject "missingObject" Error,
    /// No space follows the email.
    MissingSpaceBeforeDate "missingSpaceBeforeDate" Error,
    /// No space stands before the email.
    MissingSpaceBeforeEmail "missingSpaceBeforeEmail" Error,
    /// A tag ends in its `tag` line.
    MissingTag "missingTag" Error,
    /// A tag has no `tag` line.
    MissingTagEntry "missingTagEntry" Error,
    /// A commit has no `tree` line.
    MissingTree "missingTree" Error,
    /// A tag ends in its `type` line.
    MissingType "missingType" Error,
    /// A tag has no `type` line.
    MissingTypeEntry "missingTypeEntry" Error,
    /// A commit has two authors.
    MultipleAuthors "multipleAuthors" Error,
    /// The entries of a tree are not in Git's order.
    TreeNotSorted "treeNotSorted" Error,
    /// The seconds of a date begin with a zero.
    ZeroPaddedDate "zeroPaddedDate" Error,
    /// A tree entry has no name.
    EmptyName "emptyName" Warn,
    /// A tree entry's name has a `/`.
    FullPathname "fullPathname" Warn,
    /// A tree entry is named `.`.
    HasDot "hasDot" Warn,
    /// A tree entry is named `..`.
    HasDotdot "hasDotdot" Warn,
    /// A tree entry is named `.git`, or a file system would take its name for that.
    HasDotgit "hasDotgit" Warn,
    /// A tree entry's name is longer than 4096 bytes.
    LargePathname "largePathname" Warn,
    /// A tree entry's id is all zeros.
    NullSha1 "nullSha1" Warn,
    /// A NUL byte in the message of a commit.
    NulInCommit "nulInCommit" Warn,
    /// A tree entry's mode begins with a zero.
    ZeroPaddedFilemode "zeroPaddedFilemode" Warn,
    /// A tree entry's mode has unusual permission bits.
    BadFilemode "badFilemode" Info,
    /// A tag's name could not be that of a ref.
    BadTagName "badTagName" Info,
    /// `.gitattributes` is a symbolic link.
    GitattributesSymlink "gitattributesSymlink" Info,
    /// `.gitignore` is a symbolic link.
    GitignoreSymlink "gitignoreSymlink" Info,
    /// A `.gitmodules` cannot be read to its end, not by Git either.
    GitmodulesParse "gitmodulesParse" Info,
    /// `.mailmap` is a symbolic link.
    MailmapSymlink "mailmapSymlink" Info,
    /// A tag has no tagger, as in the early days.
    MissingTaggerEntry "missingTaggerEntry" Info,
    /// A tag has headers that Git does not know.
    ExtraHeaderEntry "extraHeaderEntry" Ignore,
}

/// The errors that an import of old history may let pass: none of them changes what is read from the object.
pub const TOLERATED_IN_OLD_HISTORY: &[MessageId] =
    &[MessageId::BadTimezone, MessageId::MissingSpaceBeforeDate, MessageId::ZeroPaddedFilemode];

impl MessageId {
    /// What it does here; see the table above.
    #[inline]
    pub fn severity(self) -> Severity {
        match self.git_severity() {
            GitSeverity::Fatal | GitSeverity::Error | GitSeverity::Warn => Severity::Error,
            GitSeverity::Info => Severity::Warning,
            GitSeverity::Ignore => Severity::Note,
        }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_identifiers() {
        for id in MessageId::ALL {
            let debug = format!("{id:?}");
            let (first, rest) = debug.split_at(1);
            assert_eq!(id.name(), first.to_ascii_lowercase() + rest);
        }
        assert_eq!(MessageId::ALL.len(), 59);
    }
}
