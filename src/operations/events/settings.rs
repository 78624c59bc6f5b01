//! Buses, rules, targets, archives, replays, connections and API destinations: made, changed and taken away. Who may has been decided
//! before. Every change counts one more in the account's version, in the same transaction: that is what makes routers read anew, and
//! of two changes at the same time one is made after the other.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::routing::{rule_arn, transformer_of};
use super::targets::Destination;
use super::{EventState, subscriber_of};
use crate::events::bus::{
    ApiConnection, ApiDestination, Archive, Authorization, Bus, HttpParameters, MAX_ARCHIVES, MAX_BUSES,
    MAX_DESTINATIONS, MAX_RULES, MAX_TARGETS, Replay, ReplayState, Rule, Target,
};
use crate::events::pattern::Pattern;
use crate::events::schedule::Schedule;
use crate::events::shelf::{EventShelf, Kept, Named, ShelfError};
use crate::events::{DEFAULT_BUS, Queued};
use crate::names::{AccountId, escape_for_people};
use crate::operations::OpContext;
use crate::operations::lockgate::Lockgate;
use crate::store::StoreError;
use crate::store::documents::Write;

/// How often a change is tried again because somebody else was faster.
const MAX_TRIES: usize = 32;
/// How long a secret that was replaced goes on signing besides the new one.
const PREVIOUS_SECRET_MS: i64 = 24 * 60 * 60 * 1000;

/// Why something of events was not set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum EventFailure {
    /// The store failed.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// Others kept being faster.
    #[error("it is being changed too fast; try again")]
    Busy,
    /// It is not there.
    #[error("{what} {name} does not exist.")]
    NotFound {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// It is there already.
    #[error("{what} {name} already exists.")]
    Exists {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There are too many.
    #[error("{0}")]
    TooMany(String),
    /// What was asked cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A pattern is none.
    #[error("{0}")]
    Pattern(String),
    /// It cannot be as things stand.
    #[error("{0}")]
    State(String),
}

impl From<StoreError> for EventFailure {
    fn from(error: StoreError) -> EventFailure {
        EventFailure::Shelf(error.into())
    }
}

/// A rule that is to be made or changed.
#[derive(Debug, Clone, Default)]
pub struct NewRule {
    /// Its name.
    pub name: String,
    /// The bus.
    pub bus: String,
    /// What it takes.
    pub pattern: Option<String>,
    /// When the clock tells it.
    pub schedule: Option<String>,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// A few words.
    pub description: Option<String>,
    /// The role that it is given.
    pub role_arn: Option<String>,
    /// Tags of a new one.
    pub tags: BTreeMap<String, String>,
}

/// A connection that is to be made or changed.
#[derive(Default)]
pub struct NewConnection {
    /// Its name.
    pub name: String,
    /// A few words; as they were if it is not said.
    pub description: Option<String>,
    /// How requests prove who they are from; as it was if it is not said.
    pub authorization: Option<Authorization>,
    /// What each request carries besides; as it was if it is not said.
    pub http: Option<HttpParameters>,
}

/// An API destination that is to be made or changed.
#[derive(Debug, Clone, Default)]
pub struct NewDestination {
    /// Its name.
    pub name: String,
    /// A few words; as they were if it is not said.
    pub description: Option<String>,
    /// The name of its connection.
    pub connection: Option<String>,
    /// Where to.
    pub url: Option<String>,
    /// How.
    pub method: Option<String>,
    /// Most requests in a second.
    pub rate: Option<u32>,
}

/// An event that somebody puts on a bus.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The account of the bus.
    pub account: AccountId,
    /// The bus.
    pub bus: String,
    /// The event, whole.
    pub event: Value,
    /// Its id.
    pub id: Uuid,
}

fn not_found(what: &'static str, name: &str) -> EventFailure {
    EventFailure::NotFound { what, name: escape_for_people(name.as_bytes(), 200) }
}

fn exists(what: &'static str, name: &str) -> EventFailure {
    EventFailure::Exists { what, name: escape_for_people(name.as_bytes(), 200) }
}

/// What a change writes, and something for the caller.
type Change<'a, T> = &'a mut dyn FnMut(&EventShelf<'_>) -> Result<(Vec<Write>, T), EventFailure>;

impl Lockgate {
    fn change_events<T>(&self, account: &AccountId, change: Change<'_, T>) -> Result<T, EventFailure> {
        let shelf = EventShelf::new(self.store(), account);
        for _ in 0..MAX_TRIES {
            let version = shelf.version()?;
            let (mut writes, out) = change(&shelf)?;
            if writes.is_empty() {
                return Ok(out);
            }
            writes.push(shelf.change(version)?);
            if self.store().write_documents(&writes)? {
                let EventState { settings_changed, replay_begun, .. } = self.events();
                settings_changed.notify_one();
                replay_begun.notify_one();
                return Ok(out);
            }
        }
        Err(EventFailure::Busy)
    }

    fn find_event<T: Named>(
        &self,
        account: &AccountId,
        what: &'static str,
        names: &[&str],
    ) -> Result<Kept<T>, EventFailure> {
        let found = EventShelf::new(self.store(), account).get::<T>(names)?;
        found.ok_or_else(|| not_found(what, names.last().copied().unwrap_or_default()))
    }

    fn list_events<T: Named>(&self, account: &AccountId, names: &[&str]) -> Result<Vec<T>, EventFailure> {
        let all = EventShelf::new(self.store(), account).list::<T>(names)?;
        Ok(all.into_iter().map(|kept| kept.value).collect())
    }

    // ------------------------------------------------------------ buses

    fn bus_on(&self, shelf: &EventShelf<'_>, name: &str) -> Result<Kept<Bus>, EventFailure> {
        if let Some(kept) = shelf.get::<Bus>(&[name])? {
            return Ok(kept);
        }
        // Every account has one, and nobody made it.
        if name == DEFAULT_BUS {
            return Ok(Kept::new(Bus {
                name: name.to_owned(),
                description: None,
                tags: BTreeMap::new(),
                created_ms: 0,
                changed_ms: 0,
                n_rules: 0,
            }));
        }
        Err(not_found("Event bus", name))
    }

    /// A bus. Blocks.
    pub fn event_bus(&self, account: &AccountId, name: &str) -> Result<Bus, EventFailure> {
        Ok(self.bus_on(&EventShelf::new(self.store(), account), name)?.value)
    }

    /// The buses of an account, by name. Blocks.
    pub fn event_buses(&self, account: &AccountId) -> Result<Vec<Bus>, EventFailure> {
        let mut all = self.list_events::<Bus>(account, &[])?;
        if !all.iter().any(|bus| bus.name == DEFAULT_BUS) {
            all.push(self.event_bus(account, DEFAULT_BUS)?);
            all.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(all)
    }

    /// Makes a bus. Blocks.
    pub fn create_event_bus(
        &self,
        account: &AccountId,
        name: &str,
        description: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), EventFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            if name == DEFAULT_BUS || shelf.get::<Bus>(&[name])?.is_some() {
                return Err(exists("Event bus", name));
            }
            if shelf.list::<Bus>(&[])?.len() >= MAX_BUSES {
                return Err(EventFailure::TooMany(format!("an account has up to {MAX_BUSES} event buses")));
            }
            let bus = Bus {
                name: name.to_owned(),
                description: description.map(str::to_owned),
                tags: tags.clone(),
                created_ms: now_ms,
                changed_ms: now_ms,
                n_rules: 0,
            };
            Ok((vec![shelf.put(&Kept::new(bus))?], ()))
        })
    }

    /// Changes a bus. Blocks.
    pub fn edit_event_bus(
        &self,
        account: &AccountId,
        name: &str,
        edit: &dyn Fn(&mut Bus) -> Result<(), EventFailure>,
    ) -> Result<(), EventFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let mut kept = self.bus_on(shelf, name)?;
            edit(&mut kept.value)?;
            kept.value.changed_ms = now_ms;
            Ok((vec![shelf.put(&kept)?], ()))
        })
    }

    /// Takes a bus away that has no rules; nothing happens if there is none. Blocks.
    pub fn delete_event_bus(&self, account: &AccountId, name: &str) -> Result<(), EventFailure> {
        if name == DEFAULT_BUS {
            return Err(EventFailure::Invalid("Cannot delete event bus default.".to_owned()));
        }
        self.change_events(account, &mut |shelf| {
            let Some(kept) = shelf.get::<Bus>(&[name])? else { return Ok((Vec::new(), ())) };
            if kept.value.n_rules > 0 {
                return Err(EventFailure::State("Event bus can't be deleted since it has rules.".to_owned()));
            }
            Ok((vec![shelf.delete(&kept)], ()))
        })
    }

    // ------------------------------------------------------------ rules

    /// A rule. Blocks.
    pub fn event_rule(&self, account: &AccountId, bus: &str, name: &str) -> Result<Rule, EventFailure> {
        self.event_bus(account, bus)?;
        Ok(self.find_event::<Rule>(account, "Rule", &[bus, name])?.value)
    }

    /// The rules of a bus, by name. Blocks.
    pub fn event_rules(&self, account: &AccountId, bus: &str) -> Result<Vec<Rule>, EventFailure> {
        self.event_bus(account, bus)?;
        self.list_events(account, &[bus])
    }

    /// Makes a rule, or changes what it takes; its targets stay. Gives its ARN. Blocks.
    pub fn put_event_rule(&self, ctx: &OpContext, account: &AccountId, new: &NewRule) -> Result<String, EventFailure> {
        if let Some(pattern) = &new.pattern {
            Pattern::parse(pattern).map_err(|error| EventFailure::Pattern(error.to_string()))?;
        }
        if let Some(schedule) = &new.schedule {
            Schedule::parse(schedule).map_err(|error| EventFailure::Invalid(error.to_string()))?;
            if new.bus != DEFAULT_BUS {
                return Err(EventFailure::Invalid(
                    "ScheduleExpression is supported only on the default event bus.".to_owned(),
                ));
            }
        }
        if new.pattern.is_none() && new.schedule.is_none() {
            return Err(EventFailure::Invalid(
                "Parameter(s) EventPattern or ScheduleExpression must be specified.".to_owned(),
            ));
        }
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let mut bus = self.bus_on(shelf, &new.bus)?;
            let old = shelf.get::<Rule>(&[&new.bus, &new.name])?;
            let mut writes = Vec::new();
            if old.is_none() {
                if bus.value.n_rules >= MAX_RULES {
                    return Err(EventFailure::TooMany(format!("a bus has up to {MAX_RULES} rules")));
                }
                bus.value.n_rules += 1;
                writes.push(shelf.put(&bus)?);
            }
            let version = old.as_ref().map_or(0, |kept| kept.version);
            let old = old.map(|kept| kept.value);
            let rule = Rule {
                name: new.name.clone(),
                bus: new.bus.clone(),
                id: old.as_ref().map_or_else(Uuid::now_v7, |rule| rule.id),
                pattern: new.pattern.clone(),
                schedule: new.schedule.clone(),
                is_enabled: new.is_enabled,
                description: new.description.clone(),
                role_arn: new.role_arn.clone(),
                tags: old.as_ref().map_or_else(|| new.tags.clone(), |rule| rule.tags.clone()),
                created_by: old.as_ref().map_or_else(|| ctx.principal.arn(), |rule| rule.created_by.clone()),
                created_ms: old.as_ref().map_or(now_ms, |rule| rule.created_ms),
                targets: old.map(|rule| rule.targets).unwrap_or_default(),
            };
            writes.push(shelf.put(&Kept { value: rule, version })?);
            Ok((writes, rule_arn(self.identity().region(), account, &new.bus, &new.name)))
        })
    }

    /// Changes a rule. Blocks.
    pub fn edit_event_rule(
        &self,
        account: &AccountId,
        bus: &str,
        name: &str,
        edit: &dyn Fn(&mut Rule) -> Result<(), EventFailure>,
    ) -> Result<(), EventFailure> {
        self.change_events(account, &mut |shelf| {
            self.bus_on(shelf, bus)?;
            let mut kept = shelf.get::<Rule>(&[bus, name])?.ok_or_else(|| not_found("Rule", name))?;
            edit(&mut kept.value)?;
            Ok((vec![shelf.put(&kept)?], ()))
        })
    }

    /// Takes a rule away that has no targets; nothing happens if there is none. Blocks.
    pub fn delete_event_rule(&self, account: &AccountId, bus: &str, name: &str) -> Result<(), EventFailure> {
        self.change_events(account, &mut |shelf| {
            let mut of = self.bus_on(shelf, bus)?;
            let Some(kept) = shelf.get::<Rule>(&[bus, name])? else { return Ok((Vec::new(), ())) };
            if !kept.value.targets.is_empty() {
                return Err(EventFailure::Invalid("Rule can't be deleted since it has targets.".to_owned()));
            }
            of.value.n_rules = of.value.n_rules.saturating_sub(1);
            Ok((vec![shelf.put(&of)?, shelf.delete(&kept)], ()))
        })
    }

    /// Gives a rule targets, over those of the same ids. Gives why some of them are none. Blocks.
    pub fn put_event_targets(
        &self,
        ctx: &OpContext,
        account: &AccountId,
        bus: &str,
        name: &str,
        targets: &[Target],
    ) -> Result<Vec<(String, String)>, EventFailure> {
        let by = subscriber_of(&ctx.principal)
            .ok_or_else(|| EventFailure::Invalid("targets are put by users and roles".to_owned()))?;
        let mut failed = Vec::new();
        let mut good = Vec::new();
        for target in targets {
            let checked = self
                .check_destination(account, &target.arn)
                .and_then(|_| transformer_of(&target.input).map(|_| ()))
                .and_then(|()| match &target.dead_letter {
                    Some(arn) => match self.check_destination(account, arn)? {
                        Destination::Bus(..) => Err("a bus is no dead-letter target".to_owned()),
                        _ => Ok(()),
                    },
                    None => Ok(()),
                });
            match checked {
                Ok(()) => good.push(Target { subscriber: by.clone(), ..target.clone() }),
                Err(why) => failed.push((target.id.clone(), why)),
            }
        }
        self.change_events(account, &mut |shelf| {
            self.bus_on(shelf, bus)?;
            let mut kept = shelf.get::<Rule>(&[bus, name])?.ok_or_else(|| not_found("Rule", name))?;
            for target in &good {
                kept.value.targets.insert(target.id.clone(), target.clone());
            }
            if kept.value.targets.len() > MAX_TARGETS {
                return Err(EventFailure::TooMany(format!("a rule has up to {MAX_TARGETS} targets")));
            }
            Ok((if good.is_empty() { Vec::new() } else { vec![shelf.put(&kept)?] }, ()))
        })?;
        Ok(failed)
    }

    // ------------------------------------------------------------ events

    /// Puts events on buses, all of them in one transaction. Blocks.
    pub fn put_events(&self, events: &[NewEvent]) -> Result<(), EventFailure> {
        let now_ms = self.store().clock().now_ms();
        let write = |new: &NewEvent| {
            let queued = Queued {
                account: new.account.to_string(),
                bus: new.bus.clone(),
                repository: None,
                stream: Uuid::nil(),
                at_ms: now_ms,
                hops: 0,
                event: new.event.clone(),
            };
            self.put_queued(new.id, &queued)
        };
        let writes: Vec<Write> = events.iter().map(write).collect();
        self.store().write_documents(&writes)?;
        Ok(())
    }

    // ------------------------------------------------------------ archives and replays

    /// An archive. Blocks.
    pub fn event_archive(&self, account: &AccountId, name: &str) -> Result<Archive, EventFailure> {
        Ok(self.find_event::<Archive>(account, "Archive", &[name])?.value)
    }

    /// How many events an archive holds, and their bytes as they are stored. Blocks.
    pub fn count_archive(&self, archive: &Archive) -> Result<(i64, i64), EventFailure> {
        Ok(self.store().count_archived(archive.id.as_bytes())?)
    }

    /// The archives of an account, by name. Blocks.
    pub fn event_archives(&self, account: &AccountId) -> Result<Vec<Archive>, EventFailure> {
        self.list_events(account, &[])
    }

    /// Makes an archive. Blocks.
    pub fn create_event_archive(
        &self,
        account: &AccountId,
        name: &str,
        bus: &str,
        (description, pattern, retention_days): (Option<&str>, Option<&str>, u32),
    ) -> Result<Archive, EventFailure> {
        check_pattern(pattern)?;
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            self.bus_on(shelf, bus)?;
            if shelf.get::<Archive>(&[name])?.is_some() {
                return Err(exists("Archive", name));
            }
            if shelf.list::<Archive>(&[])?.len() >= MAX_ARCHIVES {
                return Err(EventFailure::TooMany(format!("an account has up to {MAX_ARCHIVES} archives")));
            }
            let archive = Archive {
                name: name.to_owned(),
                id: Uuid::now_v7(),
                bus: bus.to_owned(),
                description: description.map(str::to_owned),
                pattern: pattern.map(str::to_owned),
                retention_days,
                created_ms: now_ms,
            };
            Ok((vec![shelf.put(&Kept::new(archive.clone()))?], archive))
        })
    }

    /// Changes what an archive keeps from now on. Blocks.
    pub fn update_event_archive(
        &self,
        account: &AccountId,
        name: &str,
        (description, pattern, retention_days): (Option<&str>, Option<&str>, Option<u32>),
    ) -> Result<Archive, EventFailure> {
        check_pattern(pattern)?;
        self.change_events(account, &mut |shelf| {
            let mut kept = shelf.get::<Archive>(&[name])?.ok_or_else(|| not_found("Archive", name))?;
            let archive = &mut kept.value;
            archive.description = description.map(str::to_owned).or(archive.description.take());
            archive.pattern = pattern.map(str::to_owned).or(archive.pattern.take());
            archive.retention_days = retention_days.unwrap_or(archive.retention_days);
            Ok((vec![shelf.put(&kept)?], kept.value))
        })
    }

    /// Takes an archive and its events away. Blocks.
    pub fn delete_event_archive(&self, account: &AccountId, name: &str) -> Result<(), EventFailure> {
        let id = self.change_events(account, &mut |shelf| {
            let kept = shelf.get::<Archive>(&[name])?.ok_or_else(|| not_found("Archive", name))?;
            let running = |kept: &Kept<Replay>| kept.value.archive == name && !kept.value.state.is_over();
            if shelf.list::<Replay>(&[])?.iter().any(running) {
                return Err(EventFailure::State("the archive is being replayed".to_owned()));
            }
            Ok((vec![shelf.delete(&kept)], kept.value.id))
        })?;
        self.store().forget_archived(id.as_bytes(), None)?;
        Ok(())
    }

    /// A replay. Blocks.
    pub fn event_replay(&self, account: &AccountId, name: &str) -> Result<Replay, EventFailure> {
        Ok(self.find_event::<Replay>(account, "Replay", &[name])?.value)
    }

    /// The replays of an account, by name. Blocks.
    pub fn event_replays(&self, account: &AccountId) -> Result<Vec<Replay>, EventFailure> {
        self.list_events(account, &[])
    }

    /// Begins to tell archived events once more. Blocks.
    pub fn start_event_replay(
        &self,
        account: &AccountId,
        name: &str,
        archive: &str,
        description: Option<&str>,
        (bus, rules): (&str, &[String]),
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Replay, EventFailure> {
        if from_ms >= to_ms {
            return Err(EventFailure::Invalid(
                "Parameter EventEndTime is not valid. Reason: it is not after EventStartTime.".to_owned(),
            ));
        }
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let from = shelf.get::<Archive>(&[archive])?.ok_or_else(|| not_found("Archive", archive))?.value;
            if from.bus != bus {
                return Err(EventFailure::Invalid(
                    "Parameter Destination.Arn is not valid. Reason: events are replayed to the event bus that the archive is of."
                        .to_owned(),
                ));
            }
            if shelf.get::<Replay>(&[name])?.is_some() {
                return Err(exists("Replay", name));
            }
            let replay = Replay {
                name: name.to_owned(),
                description: description.map(str::to_owned),
                archive: from.name,
                archive_id: from.id,
                bus: bus.to_owned(),
                rules: rules.to_vec(),
                from_ms,
                to_ms,
                state: ReplayState::Starting,
                reason: None,
                cursor: 0,
                last_event_ms: None,
                n_told: 0,
                started_ms: now_ms,
                ended_ms: None,
            };
            Ok((vec![shelf.put(&Kept::new(replay.clone()))?], replay))
        })
    }

    /// Stops a replay. Blocks.
    pub fn cancel_event_replay(&self, account: &AccountId, name: &str) -> Result<Replay, EventFailure> {
        self.change_events(account, &mut |shelf| {
            let mut kept = shelf.get::<Replay>(&[name])?.ok_or_else(|| not_found("Replay", name))?;
            if kept.value.state.is_over() {
                let name = escape_for_people(name.as_bytes(), 100);
                return Err(EventFailure::State(format!("Replay {name} is over")));
            }
            kept.value.state = ReplayState::Cancelling;
            Ok((vec![shelf.put(&kept)?], kept.value))
        })
    }

    // ------------------------------------------------------------ connections and API destinations

    /// A connection. Blocks.
    pub fn event_connection(&self, account: &AccountId, name: &str) -> Result<ApiConnection, EventFailure> {
        Ok(self.find_event::<ApiConnection>(account, "Connection", &[name])?.value)
    }

    /// The connections of an account, by name. Blocks.
    pub fn event_connections(&self, account: &AccountId) -> Result<Vec<ApiConnection>, EventFailure> {
        self.list_events(account, &[])
    }

    /// Makes a connection, or changes it; a secret that is replaced goes on signing for a day. Blocks.
    pub fn put_event_connection(
        &self,
        account: &AccountId,
        new: &NewConnection,
        is_new: bool,
    ) -> Result<ApiConnection, EventFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let old = shelf.get::<ApiConnection>(&[&new.name])?;
            let version = old.as_ref().map_or(0, |kept| kept.version);
            let mut connection = match (old, is_new) {
                (Some(_), true) => return Err(exists("Connection", &new.name)),
                (None, false) => return Err(not_found("Connection", &new.name)),
                (Some(kept), false) => kept.value,
                (None, true) => {
                    if shelf.list::<ApiConnection>(&[])?.len() >= MAX_DESTINATIONS {
                        let why = format!("an account has up to {MAX_DESTINATIONS} connections");
                        return Err(EventFailure::TooMany(why));
                    }
                    ApiConnection {
                        name: new.name.clone(),
                        id: Uuid::new_v4(),
                        description: None,
                        authorization: None,
                        previous_secret: None,
                        previous_until_ms: 0,
                        http: HttpParameters::default(),
                        created_ms: now_ms,
                        changed_ms: now_ms,
                        authorized_ms: now_ms,
                    }
                }
            };
            if let Some(authorization) = &new.authorization {
                if let Some(Authorization::ApiKey { value, .. }) = connection.authorization.take() {
                    connection.previous_secret = Some(value);
                    connection.previous_until_ms = now_ms + PREVIOUS_SECRET_MS;
                }
                connection.authorization = Some(authorization.clone());
                connection.authorized_ms = now_ms;
            }
            if let Some(http) = &new.http {
                connection.http = http.clone();
            }
            connection.description = new.description.clone().or(connection.description.take());
            connection.changed_ms = now_ms;
            Ok((vec![shelf.put(&Kept { value: connection.clone(), version })?], connection))
        })
    }

    /// Takes away how requests of a connection prove who they are from. Blocks.
    pub fn deauthorize_event_connection(&self, account: &AccountId, name: &str) -> Result<ApiConnection, EventFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let mut kept = shelf.get::<ApiConnection>(&[name])?.ok_or_else(|| not_found("Connection", name))?;
            (kept.value.authorization, kept.value.previous_secret) = (None, None);
            kept.value.changed_ms = now_ms;
            Ok((vec![shelf.put(&kept)?], kept.value))
        })
    }

    /// Takes a connection away that no API destination uses. Blocks.
    pub fn delete_event_connection(&self, account: &AccountId, name: &str) -> Result<ApiConnection, EventFailure> {
        self.change_events(account, &mut |shelf| {
            let kept = shelf.get::<ApiConnection>(&[name])?.ok_or_else(|| not_found("Connection", name))?;
            let uses = |kept: &Kept<ApiDestination>| kept.value.connection == name;
            if shelf.list::<ApiDestination>(&[])?.iter().any(uses) {
                return Err(EventFailure::State("API destinations use the connection: delete them first".to_owned()));
            }
            Ok((vec![shelf.delete(&kept)], kept.value))
        })
    }

    /// An API destination. Blocks.
    pub fn api_destination(&self, account: &AccountId, name: &str) -> Result<ApiDestination, EventFailure> {
        Ok(self.find_event::<ApiDestination>(account, "ApiDestination", &[name])?.value)
    }

    /// The API destinations of an account, by name. Blocks.
    pub fn api_destinations(&self, account: &AccountId) -> Result<Vec<ApiDestination>, EventFailure> {
        self.list_events(account, &[])
    }

    /// Makes an API destination, or changes it. Blocks.
    pub fn put_api_destination(
        &self,
        account: &AccountId,
        new: &NewDestination,
        is_new: bool,
    ) -> Result<ApiDestination, EventFailure> {
        let now_ms = self.store().clock().now_ms();
        self.change_events(account, &mut |shelf| {
            let old = shelf.get::<ApiDestination>(&[&new.name])?;
            let version = old.as_ref().map_or(0, |kept| kept.version);
            let mut destination = match (old, is_new) {
                (Some(_), true) => return Err(exists("ApiDestination", &new.name)),
                (None, false) => return Err(not_found("ApiDestination", &new.name)),
                (Some(kept), false) => kept.value,
                (None, true) => {
                    if shelf.list::<ApiDestination>(&[])?.len() >= MAX_DESTINATIONS {
                        let why = format!("an account has up to {MAX_DESTINATIONS} API destinations");
                        return Err(EventFailure::TooMany(why));
                    }
                    ApiDestination {
                        name: new.name.clone(),
                        id: Uuid::new_v4(),
                        description: None,
                        connection: String::new(),
                        url: String::new(),
                        method: "POST".to_owned(),
                        rate: 300,
                        created_ms: now_ms,
                        changed_ms: now_ms,
                    }
                }
            };
            destination.description = new.description.clone().or(destination.description.take());
            destination.connection = new.connection.clone().unwrap_or(destination.connection);
            destination.url = new.url.clone().unwrap_or(destination.url);
            destination.method = new.method.clone().unwrap_or(destination.method);
            destination.rate = new.rate.unwrap_or(destination.rate);
            destination.changed_ms = now_ms;
            if shelf.get::<ApiConnection>(&[&destination.connection])?.is_none() {
                return Err(not_found("Connection", &destination.connection));
            }
            Ok((vec![shelf.put(&Kept { value: destination.clone(), version })?], destination))
        })
    }

    /// Takes an API destination away. Blocks.
    pub fn delete_api_destination(&self, account: &AccountId, name: &str) -> Result<(), EventFailure> {
        self.change_events(account, &mut |shelf| {
            let kept = shelf.get::<ApiDestination>(&[name])?.ok_or_else(|| not_found("ApiDestination", name))?;
            Ok((vec![shelf.delete(&kept)], ()))
        })
    }
}

fn check_pattern(pattern: Option<&str>) -> Result<(), EventFailure> {
    match pattern {
        Some(pattern) => Pattern::parse(pattern).map(|_| ()).map_err(|error| EventFailure::Pattern(error.to_string())),
        None => Ok(()),
    }
}
