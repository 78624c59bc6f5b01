//! What a user sees: real `git` and `ssh` against a server of one's own, each test with its own folders, keys and ports.

mod aws_clients;
mod clone_and_push;
mod codecommit;
mod events;
mod first_start;
mod import_and_fsck;
mod keys;
mod module_arrows;
mod paths_and_signatures;
mod reflog;
mod refusals;
mod signing_keys;
mod ssh_certificates;
mod support;
mod web_identity;
