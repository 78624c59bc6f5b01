//! What is kept of a decision: enough to show it, and to decide it again under other policies.
//!
//! The record holds the request, its context and the whole entity closure, independent of what the policies of the day
//! looked at. A record that another version wrote and that this one's schema cannot hold is reported, never guessed at.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Context, Entities, EntityUid, Request};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::action::{Action, SPOKEN};
use super::compile::{CompiledPolicies, SessionPolicy};
use super::decide::{Asked, Decision, Effect, Layer, LayerVerdict, PolicyMatch, Question};
use crate::names::AccountId;

/// A decision as it is stored, as JSON ([`DecisionRecord::encode`]). It holds names and addresses: it is stored sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    /// Layout of the record, 1.
    pub version: u32,
    /// The decision's id.
    #[serde(with = "id_as_text")]
    pub id: Uuid,
    /// The generation of the policies that decided.
    pub generation: i64,
    /// What was attached through IAM's operations when it was decided, as [`super::AttachedPolicies::fingerprint`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<String>,
    /// When it was asked, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Who asked, `User::"111111111111/alice"`.
    pub principal: String,
    /// What for, `codecommit:GitPush`.
    pub action: String,
    /// To what, `Ref::"111111111111/shop/refs/heads/main"`.
    pub resource: String,
    /// The answer.
    pub allowed: bool,
    /// Why, for people.
    pub reason: String,
    /// What each layer said.
    pub layers: Vec<LayerRecord>,
    /// The facts; none where they made no request of the schema.
    pub facts: Option<FactsRecord>,
    /// The text of the session's policy.
    pub session_policy: Option<String>,
    /// How many like decisions the record stands for.
    #[serde(default = "one")]
    pub count: u64,
    /// When the last of them was asked, in milliseconds since the Unix epoch; absent for a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
}

fn one() -> u64 {
    1
}

/// A record as bytes, in two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// What is the decision's own.
    pub body: Vec<u8>,
    /// The entities: like decisions have the same, to the byte.
    pub entities: Option<Vec<u8>>,
}

/// What one layer said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerRecord {
    /// `organization`, `account`, `trust` or `session`.
    pub layer: String,
    /// The account, for `account` and `trust`.
    pub account: Option<String>,
    /// Whether a permit was needed from it.
    pub permit_needed: bool,
    /// Policies that matched or failed.
    pub matches: Vec<MatchRecord>,
}

/// One policy that had a say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchRecord {
    /// Its `@id`.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// Its `@advice`.
    pub advice: Option<String>,
    /// Whether it could not be evaluated.
    pub errored: bool,
}

/// The facts that were decided about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FactsRecord {
    /// The caller's account; a service has none.
    pub caller: Option<String>,
    /// The account that the resource belongs to.
    pub owner: String,
    /// The context, as Cedar JSON.
    pub context: serde_json::Value,
    /// The entities, as Cedar JSON, each with all its ancestors, sorted by id.
    pub entities: serde_json::Value,
}

/// Why a record cannot be written, read or decided again.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON of a record.
    #[error("a decision record cannot be read")]
    Unreadable {
        /// Why.
        source: serde_json::Error,
    },
    /// Facts that do not become JSON.
    #[error("decision {id} cannot be recorded: {why}")]
    Unwritable {
        /// The decision.
        id: Uuid,
        /// Why.
        why: String,
    },
    /// The record does not hold what this version needs to decide.
    #[error("decision {id} cannot be decided again: {why}")]
    Undecidable {
        /// The decision.
        id: Uuid,
        /// Why.
        why: String,
    },
}

impl Decision {
    /// The decision as it is stored.
    pub fn record(&self) -> Result<DecisionRecord, RecordError> {
        let unwritable = |why: String| RecordError::Unwritable { id: self.id, why };
        let facts = match &self.asked.question {
            Some(question) => Some(question.facts().map_err(unwritable)?),
            None => None,
        };
        Ok(DecisionRecord {
            version: VERSION,
            id: self.id,
            generation: self.generation,
            attached: self.asked.attached.clone(),
            time_ms: self.asked.time_ms,
            principal: self.asked.principal.to_string(),
            action: self.asked.action.to_string(),
            resource: self.asked.resource.to_string(),
            allowed: self.allowed,
            reason: self.reason.clone(),
            layers: self.verdicts.iter().map(LayerRecord::of).collect(),
            facts,
            session_policy: self.asked.session_policy.clone(),
            count: 1,
            last_ms: None,
        })
    }
}

impl DecisionRecord {
    /// The record as bytes: JSON, the entities apart.
    pub fn encode(mut self) -> Result<EncodedRecord, RecordError> {
        let unwritable = |failed: serde_json::Error| RecordError::Unwritable { id: self.id, why: failed.to_string() };
        let entities = match &mut self.facts {
            Some(facts) => Some(serde_json::to_vec(&facts.entities.take()).map_err(unwritable)?),
            None => None,
        };
        Ok(EncodedRecord { body: serde_json::to_vec(&self).map_err(unwritable)?, entities })
    }

    /// Reads what [`DecisionRecord::encode`] wrote.
    pub fn decode(body: &[u8], entities: Option<&[u8]>) -> Result<DecisionRecord, RecordError> {
        let unreadable = |source| RecordError::Unreadable { source };
        let mut record: DecisionRecord = serde_json::from_slice(body).map_err(unreadable)?;
        if let (Some(facts), Some(entities)) = (&mut record.facts, entities) {
            facts.entities = serde_json::from_slice(entities).map_err(unreadable)?;
        }
        Ok(record)
    }

    /// Decides the recorded request again, under other policies or the same.
    pub fn decide_again(&self, policies: &CompiledPolicies) -> Result<Decision, RecordError> {
        let entities = match &self.facts {
            Some(facts) => serde_json::to_vec(&facts.entities).ok(),
            None => None,
        };
        self.decide_again_with(policies, entities.as_deref(), &mut EntityCache::default())
    }

    /// [`DecisionRecord::decide_again`] of a record that was read without its entities, which are given as they are stored: of many
    /// records that share them they are read once.
    pub fn decide_again_with(
        &self,
        policies: &CompiledPolicies,
        entities: Option<&[u8]>,
        cache: &mut EntityCache,
    ) -> Result<Decision, RecordError> {
        let undecidable = |why: String| RecordError::Undecidable { id: self.id, why };
        if self.version != VERSION {
            return Err(undecidable(format!("its layout is {}, this version reads {VERSION}", self.version)));
        }
        let session = match &self.session_policy {
            Some(source) => Some(SessionPolicy::compile(source).map_err(|problems| {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                undecidable(format!("the session's policy no longer compiles: {}", problems.join("; ")))
            })?),
            None => None,
        };
        let entities = entities.ok_or_else(|| undecidable("its facts made no request".to_owned()))?;
        let entities = cache.get(entities).map_err(undecidable)?;
        let question = self.question_about(entities).map_err(undecidable)?;
        let judgement = policies.judge(&question, session.as_ref());
        let asked = Asked {
            principal: question.principal.clone(),
            action: question.action.clone(),
            resource: question.resource.clone(),
            time_ms: self.time_ms,
            session_policy: self.session_policy.clone(),
            attached: policies.attached.fingerprint().map(str::to_owned),
            question: Some(Arc::new(question)),
        };
        Ok(judgement.decision(self.id, policies.generation(), asked))
    }

    pub(super) fn question(&self) -> Result<Question, String> {
        let facts = self.facts.as_ref().ok_or_else(|| "its facts made no request".to_owned())?;
        self.question_about(read_entities(facts.entities.clone())?)
    }

    fn question_about(&self, entities: Entities) -> Result<Question, String> {
        let facts = self.facts.as_ref().ok_or_else(|| "its facts made no request".to_owned())?;
        let action = Action::parse(&self.action).map_err(|unknown| unknown.to_string())?;
        let uid = &SPOKEN.actions.get(action.as_str()).ok_or("its action is unknown")?.uid;
        let parsed = |id: &str| id.parse::<EntityUid>().map_err(|failed| failed.to_string());
        let (principal, resource) = (parsed(&self.principal)?, parsed(&self.resource)?);
        let account = |id: &str| AccountId::parse(id).map_err(|failed| failed.to_string());
        let context = Context::from_json_value(facts.context.clone(), Some((&SPOKEN.schema, uid)))
            .map_err(|failed| failed.to_string())?;
        let request = Request::new(principal.clone(), uid.clone(), resource.clone(), context, Some(&SPOKEN.schema))
            .map_err(|failed| failed.to_string())?;
        Ok(Question {
            request,
            entities,
            principal,
            action,
            resource,
            caller: facts.caller.as_deref().map(account).transpose()?,
            owner: account(&facts.owner)?,
        })
    }
}

fn read_entities(value: serde_json::Value) -> Result<Entities, String> {
    Entities::from_json_value(value, Some(&SPOKEN.schema)).map_err(|failed| failed.to_string())
}

/// Entities as they were read from records: like decisions share them to the byte.
#[derive(Default)]
pub struct EntityCache(HashMap<Vec<u8>, Entities>);

/// Most sets of entities that are held.
const MAX_CACHED: usize = 4096;

impl EntityCache {
    fn get(&mut self, bytes: &[u8]) -> Result<Entities, String> {
        if let Some(known) = self.0.get(bytes) {
            return Ok(known.clone());
        }
        let value = serde_json::from_slice(bytes).map_err(|failed| failed.to_string())?;
        let read = read_entities(value)?;
        if self.0.len() >= MAX_CACHED {
            self.0.clear();
        }
        self.0.insert(bytes.to_vec(), read.clone());
        Ok(read)
    }
}

impl Question {
    fn facts(&self) -> Result<FactsRecord, String> {
        let context = self.request.context().ok_or("the request has no context")?;
        let mut entities = Vec::new();
        for entity in self.entities.iter() {
            // The schema knows the actions.
            if entity.uid().type_name().basename() != "Action" {
                entities.push((entity.uid(), entity.to_json_value().map_err(|failed| failed.to_string())?));
            }
        }
        // Sorted, so that equal closures are equal bytes.
        entities.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, entity) in &mut entities {
            if let Some(parents) = entity.get_mut("parents").and_then(|parents| parents.as_array_mut()) {
                parents.sort_by_key(ToString::to_string);
            }
        }
        Ok(FactsRecord {
            caller: self.caller.as_ref().map(ToString::to_string),
            owner: self.owner.to_string(),
            context: context.to_json_value().map_err(|failed| failed.to_string())?,
            entities: entities.into_iter().map(|(_, entity)| entity).collect(),
        })
    }
}

impl LayerRecord {
    fn of(verdict: &LayerVerdict) -> LayerRecord {
        let (layer, account) = match &verdict.layer {
            Layer::Organization => ("organization", None),
            Layer::Account(account) => ("account", Some(account.to_string())),
            Layer::Trust(account) => ("trust", Some(account.to_string())),
            Layer::Session => ("session", None),
        };
        LayerRecord {
            layer: layer.to_owned(),
            account,
            permit_needed: verdict.permit_needed,
            matches: verdict.matches.iter().map(MatchRecord::of).collect(),
        }
    }
}

impl MatchRecord {
    fn of(found: &PolicyMatch) -> MatchRecord {
        MatchRecord {
            id: found.id.clone(),
            effect: found.effect.as_str().to_owned(),
            advice: found.advice.clone(),
            errored: found.errored,
        }
    }

    pub(super) fn is_forbid(&self) -> bool {
        self.effect == Effect::Forbid.as_str()
    }
}

/// An id as people see it, in hyphens.
mod id_as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        Uuid::parse_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

const VERSION: u32 = 1;
