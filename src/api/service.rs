//! The services, as signatures and requests name them.

use super::codec::Protocol;

/// A service that has operations here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Security tokens.
    Sts,
    /// Users, roles, policies.
    Iam,
    /// Repositories.
    CodeCommit,
    /// Events.
    Events,
    /// What is our own.
    Lockgate,
}

impl Service {
    /// All of them.
    pub const ALL: [Service; 5] = [Service::Sts, Service::Iam, Service::CodeCommit, Service::Events, Service::Lockgate];

    /// The name in credential scopes.
    pub fn signing_name(self) -> &'static str {
        match self {
            Service::Sts => "sts",
            Service::Iam => "iam",
            Service::CodeCommit => "codecommit",
            Service::Events => "events",
            Service::Lockgate => "lockgate",
        }
    }

    /// The service of a credential scope.
    pub fn of_scope(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|service| service.signing_name() == name)
    }

    /// What stands before the operation in `X-Amz-Target`; none for services that are not spoken to in JSON.
    pub fn target_prefix(self) -> Option<&'static str> {
        match self {
            Service::Sts | Service::Iam => None,
            Service::CodeCommit => Some("CodeCommit_20150413"),
            Service::Events => Some("AWSEvents"),
            Service::Lockgate => Some("Lockgate_20261123"),
        }
    }

    /// The namespace of its XML; empty for services that answer in JSON.
    pub fn xml_namespace(self) -> &'static str {
        match self {
            Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
            Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Service::CodeCommit | Service::Events | Service::Lockgate => "",
        }
    }

    /// How it is spoken to, where a request does not say.
    pub fn protocol(self) -> Protocol {
        match self {
            Service::Sts | Service::Iam => Protocol::Query,
            Service::CodeCommit | Service::Events | Service::Lockgate => Protocol::Json11,
        }
    }
}
