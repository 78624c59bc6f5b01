//! Operations of all services in one table: what each is called, what it asks of policies, what it does.
//!
//! INVARIANT: an operation is registered with its Cedar action and a function that says of what resource it is asked, or with the
//! reason why it asks nothing. The table decides before an operation runs; an operation that leaves it out cannot be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Output, Parameters};
use super::error::ApiError;
use super::service::Service;
use crate::identity::Directory;
use crate::names::AccountId;
use crate::operations::OpContext;
use crate::operations::authorize::{Allowed, NotAllowed, Weight};
use crate::operations::lockgate::Lockgate;
use crate::policy::{Action, ContextFacts, ResourceFacts};

/// One call that is under way.
pub struct Call<'a> {
    /// The inside.
    pub host: &'a Lockgate,
    /// Who calls.
    pub ctx: &'a OpContext,
    /// Who there is, as of the decision.
    pub directory: Arc<Directory>,
    /// When, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

impl Call<'_> {
    /// The caller's account, which the call is about.
    pub fn account(&self) -> &AccountId {
        self.ctx.principal.account()
    }

    /// Waits for something of the inside.
    pub fn wait<T, E: Into<ApiError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, ApiError> {
        self.host.store().wait(work).map_err(Into::into)
    }

    /// Decides something besides what the operation is registered with.
    pub fn authorize(
        &self,
        action: &Action,
        resource: &ResourceFacts,
        context: &ContextFacts,
    ) -> Result<Allowed, ApiError> {
        let decided = self.host.authorize(self.ctx, action, resource, context, Weight::Write);
        decided.map_err(|refused| self.denied(&refused))
    }

    /// What the caller reads who may not.
    pub fn denied(&self, refused: &NotAllowed) -> ApiError {
        ApiError::access_denied(&self.ctx.principal.arn(), refused)
    }
}

/// What an operation asks of policies before it runs.
enum Asks {
    Policy {
        action: Action,
        weight: Weight,
    },
    /// Nothing, or it decides by itself; the reason is for readers of the code.
    Itself {
        _why: &'static str,
    },
}

type Run = dyn Fn(&Call<'_>, &Parameters) -> Result<Output, ApiError> + Send + Sync;
type Resource = dyn Fn(&Call<'_>, &Parameters) -> Result<ResourceFacts, ApiError> + Send + Sync;

/// An operation of the table.
pub struct Operation {
    asks: Asks,
    resource: Box<Resource>,
    run: Box<Run>,
}

impl Operation {
    /// Decides and does.
    pub fn call(&self, call: &mut Call<'_>, parameters: &Parameters) -> Result<Output, ApiError> {
        if let Asks::Policy { action, weight } = &self.asks {
            let resource = (self.resource)(call, parameters)?;
            let allowed = call.host.authorize(call.ctx, action, &resource, &ContextFacts::Plain, *weight);
            call.directory = allowed.map_err(|refused| call.denied(&refused))?.directory;
        }
        (self.run)(call, parameters)
    }

    /// The Cedar action; none for an operation that decides by itself.
    pub fn action(&self) -> Option<&Action> {
        match &self.asks {
            Asks::Policy { action, .. } => Some(action),
            Asks::Itself { .. } => None,
        }
    }
}

/// All operations.
#[derive(Default)]
pub struct Operations {
    table: BTreeMap<(Service, &'static str), Operation>,
}

/// What is wrong with a registration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {name} of {service:?} cannot be registered: {why}")]
pub struct NotRegistered {
    service: Service,
    name: &'static str,
    why: String,
}

impl Operations {
    /// The operation of that name.
    pub fn get(&self, service: Service, name: &str) -> Option<&Operation> {
        // The table is keyed by names of static life; looking up by any other takes a walk of one service's range.
        self.table
            .range((service, "")..)
            .take_while(|((of, _), _)| *of == service)
            .find(|((_, key), _)| *key == name)
            .map(|(_, op)| op)
    }

    /// All operations, by service and name.
    pub fn iter(&self) -> impl Iterator<Item = (Service, &'static str, &Operation)> {
        self.table.iter().map(|((service, name), operation)| (*service, *name, operation))
    }

    /// Adds an operation that asks policies for `action`, named as AWS names it with its service's prefix.
    pub fn add<I: DeserializeOwned + 'static, O: Serialize + 'static>(
        &mut self,
        service: Service,
        name: &'static str,
        action: &str,
        weight: Weight,
        resource: fn(&Call<'_>, &I) -> Result<ResourceFacts, ApiError>,
        run: fn(&Call<'_>, I) -> Result<O, ApiError>,
    ) -> Result<(), NotRegistered> {
        let action =
            Action::parse(action).map_err(|unknown| NotRegistered { service, name, why: unknown.to_string() })?;
        let operation = Operation {
            asks: Asks::Policy { action, weight },
            resource: Box::new(move |call, parameters| resource(call, &parameters.read()?)),
            run: Box::new(move |call, parameters| Output::of(&run(call, parameters.read()?)?)),
        };
        self.put(service, name, operation)
    }

    /// Adds an operation that decides by itself, or asks nothing; `why` says so.
    pub fn add_deciding<I: DeserializeOwned + 'static, O: Serialize + 'static>(
        &mut self,
        service: Service,
        name: &'static str,
        why: &'static str,
        run: fn(&Call<'_>, I) -> Result<O, ApiError>,
    ) -> Result<(), NotRegistered> {
        let operation = Operation {
            asks: Asks::Itself { _why: why },
            resource: Box::new(|call, _| Ok(ResourceFacts::Account(call.account().clone()))),
            run: Box::new(move |call, parameters| Output::of(&run(call, parameters.read()?)?)),
        };
        self.put(service, name, operation)
    }

    fn put(&mut self, service: Service, name: &'static str, operation: Operation) -> Result<(), NotRegistered> {
        match self.table.insert((service, name), operation) {
            None => Ok(()),
            Some(_) => Err(NotRegistered { service, name, why: "it is registered twice".to_owned() }),
        }
    }
}
