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
use crate::operations::authorize::{NotAllowed, Weight};
use crate::operations::lockgate::Lockgate;
use crate::policy::{Action, ChangeKind, ContextFacts, RefChangeFacts, RefFacts, ResourceFacts};

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

    /// Asks policies for an action on one more resource, where the call is about two.
    pub fn also(&self, action: &str, resource: &ResourceFacts) -> Result<(), ApiError> {
        let action = Action::parse(action).map_err(|unknown| ApiError::internal(&unknown))?;
        let allowed = self.host.authorize(self.ctx, &action, resource, &ContextFacts::Plain, Weight::Write);
        allowed.map(|_| ()).map_err(|refused| self.denied(&refused))
    }

    /// Asks policies for an action that changes a ref, where nothing later decides: as if it moved forward.
    pub fn permitted(&self, action: &Action, on: &RefFacts) -> Result<(), ApiError> {
        let context = ContextFacts::RefChange(RefChangeFacts::of_kind(ChangeKind::FastForward));
        let resource = ResourceFacts::Ref(on.clone());
        let allowed = self.host.authorize(self.ctx, action, &resource, &context, Weight::Write);
        allowed.map(|_| ()).map_err(|refused| self.denied(&refused))
    }

    /// What the caller reads who may not.
    pub fn denied(&self, refused: &NotAllowed) -> ApiError {
        ApiError::access_denied(&self.ctx.principal.arn(), refused)
    }
}

/// What a call is asked of, and what its action's context holds besides the request.
pub struct AskedOf {
    /// The resource.
    pub resource: ResourceFacts,
    /// The context.
    pub context: ContextFacts,
}

impl From<ResourceFacts> for AskedOf {
    fn from(resource: ResourceFacts) -> AskedOf {
        AskedOf { resource, context: ContextFacts::Plain }
    }
}

/// Says of what a call is asked, and what those read who may not know of it.
pub type HiddenOf<I> = fn(&Call<'_>, &I) -> Result<(ResourceFacts, ApiError), ApiError>;

/// What an operation asks of policies before it runs.
enum Asks {
    Policy(Action),
    /// Nothing, or it decides by itself; with the reason.
    Itself(&'static str),
}

type Run = dyn Fn(&mut Call<'_>, &Parameters) -> Result<Output, ApiError> + Send + Sync;

/// An operation of the table.
pub struct Operation {
    asks: Asks,
    /// Decides and does.
    run: Box<Run>,
}

impl Operation {
    /// Decides and does.
    pub fn call(&self, call: &mut Call<'_>, parameters: &Parameters) -> Result<Output, ApiError> {
        (self.run)(call, parameters)
    }

    /// The Cedar action, or why there is none: it decides by itself, or asks nothing.
    pub fn action(&self) -> Result<&Action, &'static str> {
        match &self.asks {
            Asks::Policy(action) => Ok(action),
            Asks::Itself(why) => Err(why),
        }
    }
}

/// All operations.
#[derive(Default)]
pub struct Operations {
    table: BTreeMap<Service, BTreeMap<&'static str, Operation>>,
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
        self.table.get(&service)?.get(name)
    }

    /// All operations, by service and name.
    pub fn iter(&self) -> impl Iterator<Item = (Service, &'static str, &Operation)> {
        self.table
            .iter()
            .flat_map(|(service, operations)| operations.iter().map(|(name, operation)| (*service, *name, operation)))
    }

    /// Adds an operation that asks policies for `action`, named as AWS names it with its service's prefix.
    pub fn add<I: DeserializeOwned + 'static, A: Into<AskedOf> + 'static, O: Serialize + 'static>(
        &mut self,
        service: Service,
        name: &'static str,
        action: &str,
        weight: Weight,
        of: fn(&Call<'_>, &I) -> Result<A, ApiError>,
        run: fn(&Call<'_>, I) -> Result<O, ApiError>,
    ) -> Result<(), NotRegistered> {
        let action =
            Action::parse(action).map_err(|unknown| NotRegistered { service, name, why: unknown.to_string() })?;
        let asked = action.clone();
        let decide_and_run = move |call: &mut Call<'_>, parameters: &Parameters| {
            let input: I = parameters.read()?;
            let AskedOf { resource, context } = of(call, &input)?.into();
            let allowed = call.host.authorize(call.ctx, &asked, &resource, &context, weight);
            call.directory = allowed.map_err(|refused| call.denied(&refused))?.directory;
            Output::of(&run(call, input)?)
        };
        let operation = Operation { asks: Asks::Policy(action), run: Box::new(decide_and_run) };
        self.put(service, name, operation)
    }

    /// [`Operations::add`] of what is named by a number or an id that says nothing of where it is: those who may not know of the
    /// repository read what `of` gives besides, which is what everybody reads of something that is not there.
    pub fn add_hidden<I: DeserializeOwned + 'static, O: Serialize + 'static>(
        &mut self,
        service: Service,
        name: &'static str,
        action: &str,
        weight: Weight,
        of: HiddenOf<I>,
        run: fn(&Call<'_>, I) -> Result<O, ApiError>,
    ) -> Result<(), NotRegistered> {
        let action =
            Action::parse(action).map_err(|unknown| NotRegistered { service, name, why: unknown.to_string() })?;
        let asked = action.clone();
        let decide_and_run = move |call: &mut Call<'_>, parameters: &Parameters| {
            let input: I = parameters.read()?;
            let (resource, hidden) = of(call, &input)?;
            match call.host.authorize(call.ctx, &asked, &resource, &ContextFacts::Plain, weight) {
                Ok(allowed) => call.directory = allowed.directory,
                Err(refused @ NotAllowed::Refused(_)) if call.host.may_know(call.ctx, &resource) => {
                    return Err(call.denied(&refused));
                }
                Err(NotAllowed::Refused(_)) => return Err(hidden),
                Err(unavailable) => return Err(call.denied(&unavailable)),
            }
            Output::of(&run(call, input)?)
        };
        let operation = Operation { asks: Asks::Policy(action), run: Box::new(decide_and_run) };
        self.put(service, name, operation)
    }

    /// Adds an operation that changes a ref as the action of its name. What the change is becomes known while it is prepared; it is
    /// decided then, as a push is. Here those are refused who may make no change, and know of nothing.
    pub fn add_change<I: DeserializeOwned + 'static, O: Serialize + 'static>(
        &mut self,
        service: Service,
        name: &'static str,
        action: &str,
        of: fn(&Call<'_>, &I) -> Result<RefFacts, ApiError>,
        run: fn(&Call<'_>, &Action, I) -> Result<O, ApiError>,
    ) -> Result<(), NotRegistered> {
        let action =
            Action::parse(action).map_err(|unknown| NotRegistered { service, name, why: unknown.to_string() })?;
        let asked = action.clone();
        let attempt = move |call: &mut Call<'_>, parameters: &Parameters| {
            let input: I = parameters.read()?;
            let on = of(call, &input)?;
            let allowed = call.host.authorize_attempt(call.ctx, &asked, &on);
            call.directory = allowed.map_err(|refused| call.denied(&refused))?;
            Output::of(&run(call, &asked, input)?)
        };
        let operation = Operation { asks: Asks::Policy(action), run: Box::new(attempt) };
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
        let run = move |call: &mut Call<'_>, parameters: &Parameters| Output::of(&run(call, parameters.read()?)?);
        let operation = Operation { asks: Asks::Itself(why), run: Box::new(run) };
        self.put(service, name, operation)
    }

    fn put(&mut self, service: Service, name: &'static str, operation: Operation) -> Result<(), NotRegistered> {
        match self.table.entry(service).or_default().insert(name, operation) {
            None => Ok(()),
            Some(_) => Err(NotRegistered { service, name, why: "it is registered twice".to_owned() }),
        }
    }
}
