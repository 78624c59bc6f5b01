//! Policies: who may do what, written in Cedar, and why an answer is what it is.
//!
//! A policy folder is read ([`PolicyFiles`]), checked and compiled ([`CompiledPolicies::compile`]) and then asked
//! ([`CompiledPolicies::decide`]). Everyone who wants something from a repository, a role or an account goes through
//! that one function, by whichever door; it takes plain facts ([`PrincipalFacts`], [`ResourceFacts`],
//! [`ContextFacts`]), so that no caller builds Cedar entities of its own, and supplies every entity that a validated
//! policy can look at.
//!
//! Three things differ from plain Cedar:
//! - **Layers** ([`Layer`]). A permit must come from the right place: an account's own folder for its own principals,
//!   both the caller's own and the resource's `trust` folder across accounts, the trust folder for each role assumed.
//!   A forbid wins from wherever it comes.
//! - **Errors refuse.** Cedar skips a policy that errors. Here a forbid that errors counts as matching.
//! - **Names are ids**, so the ids written in policies are checked against the names that exist ([`KnownNames`]).
//!
//! Invariant: deciding does no I/O, keeps no memory from one decision to the next, and always answers. The one function
//! that touches a disk is [`PolicyFiles::read_folder`].
//!
//! To add an action: the schema (`policies/lockgate.cedarschema`), a constant in `action.rs` if code asks for it, and
//! for a context of a new shape a variant of [`ContextFacts`].

mod action;
mod attached;
mod bounds;
mod compile;
mod context;
mod decide;
mod differs;
mod entities;
mod explain;
mod files;
mod iam;
mod index;
mod known_names;
mod matrix;
mod named;
mod naming;
mod near_misses;
mod path_rules;
mod problem;
mod record;
mod shape;
mod starter;
#[cfg(test)]
mod tests;
mod threads;

pub use action::{Action, SCHEMA, UnknownAction};
pub use attached::{AttachedDocument, AttachedPolicies, AttachedTo, MAX_DOCUMENT_BYTES};
pub use compile::{CompileOptions, Compiled, CompiledPolicies, PolicyText, SessionPolicy};
pub use context::{
    AssumeRoleFacts, ChangeKind, ContextFacts, PullRequestFacts, RefChangeFacts, RequestFacts, Transport,
};
pub use decide::{Decision, DecisionRequest, Effect, Layer, LayerVerdict, PolicyMatch};
pub use entities::{
    GroupFacts, PathFacts, PrincipalFacts, RefFacts, RepositoryFacts, ResourceFacts, RoleFacts, SessionFacts, Tags,
    UserFacts, WebIdentityFacts, encode_for_id, folded_ref_name,
};
pub use explain::{Explanation, explain};
pub use files::{FilesError, PolicyFiles};
pub use iam::{IamImport, IamProblem, ImportFor, TranslatedPolicy, import_iam};
pub use known_names::{EveryName, KnownNames};
pub use matrix::{Matrix, matrix, who_can};
pub use named::{NamedFacts, NamedKind};
pub use path_rules::PathRules;
pub use problem::Problem;
pub use record::{DecisionRecord, EncodedRecord, EntityCache, RecordError};
pub use starter::{STARTER_GROUPS, starter_files};
