//! `lockgate event`

use clap::Subcommand;
use uuid::Uuid;

use crate::operations::admin::{AdminCommand, EventCommand};

#[derive(Debug, Subcommand)]
pub(super) enum Event {
    /// List deliveries, the newest first: what was told to whom, and how that went
    Log {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show a delivery with its attempts and what it says
    Show {
        #[arg(value_name = "DELIVERY")]
        id: Uuid,
    },
    /// Tell a delivery once more, under the same id
    Redeliver {
        #[arg(value_name = "DELIVERY")]
        id: Uuid,
    },
}

impl Event {
    pub(super) fn request(self) -> AdminCommand {
        AdminCommand::Event(match self {
            Event::Log { limit } => EventCommand::Log { limit },
            Event::Show { id } => EventCommand::Show { id },
            Event::Redeliver { id } => EventCommand::Redeliver { id },
        })
    }
}
