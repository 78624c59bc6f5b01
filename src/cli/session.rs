//! `lockgate session`

use clap::Subcommand;

use crate::operations::admin::SessionCommand;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// End one session and what began from it, at once and on every door
    Revoke {
        /// `ASIA...`, as it stands beside the token, in a signature, or in `ssh-keygen -L` of a certificate
        #[arg(value_name = "ACCESS_KEY_ID")]
        access_key_id: String,
    },
}

impl Session {
    pub(super) fn request(self) -> SessionCommand {
        match self {
            Session::Revoke { access_key_id } => SessionCommand::Revoke { access_key_id },
        }
    }
}
