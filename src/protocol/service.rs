//! Which service a peer asks for, and in which version of the protocol.

/// A Git service as smart HTTP and SSH name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `git-upload-pack`: reading.
    UploadPack,
    /// `git-receive-pack`: writing.
    ReceivePack,
}

impl Service {
    /// Parses the whole query string of `GET .../info/refs`, which is exactly `service=git-upload-pack` or
    /// `service=git-receive-pack`: no other order, case, encoding, second parameter or second value
    /// (attack checklist B11). A request without it is the "dumb" protocol, which is not served.
    pub fn parse(query: &str) -> Option<Service> {
        Service::from_command(query.strip_prefix("service=")?)
    }

    /// Parses `git-upload-pack` or `git-receive-pack`, letter for letter.
    pub fn from_command(name: &str) -> Option<Service> {
        match name {
            "git-upload-pack" => Some(Service::UploadPack),
            "git-receive-pack" => Some(Service::ReceivePack),
            _ => None,
        }
    }

    /// `git-upload-pack` or `git-receive-pack`.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }
}

/// A version of the wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// The first one; what a peer gets that asks for none.
    #[default]
    V0,
    /// Version 0 with a `version 1` line before the advertisement.
    V1,
    /// Commands instead of a conversation. There is no push in it.
    V2,
}

impl Version {
    /// The highest known version in the value of `GIT_PROTOCOL` or the `Git-Protocol` header: keys and `key=value`
    /// separated by colons, such as `version=2`. What is not known is passed over, as gitprotocol-v2 asks.
    pub fn negotiate(git_protocol: &str) -> Version {
        let known = git_protocol.split(':').filter_map(|item| match item {
            "version=0" => Some(Version::V0),
            "version=1" => Some(Version::V1),
            "version=2" => Some(Version::V2),
            _ => None,
        });
        known.max().unwrap_or_default()
    }

    /// The version that `service` is spoken in: Git has no push in version 2 and falls back to 0.
    pub fn for_service(self, service: Service) -> Version {
        match (self, service) {
            (Version::V2, Service::ReceivePack) => Version::V0,
            (version, _) => version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // B11
    #[test]
    fn a_service_is_one_of_two() {
        assert_eq!(Service::parse("service=git-upload-pack"), Some(Service::UploadPack));
        assert_eq!(Service::parse("service=git-receive-pack"), Some(Service::ReceivePack));
        for query in [
            "",
            "service",
            "service=",
            "service=git-upload-archive",
            "service=Git-Upload-Pack",
            "Service=git-upload-pack",
            "service=git-upload-pack ",
            "service=git-upload-pack&service=git-receive-pack",
            "service=git-receive-pack&service=git-upload-pack",
            "service=git-upload-pack&x=1",
            "x=1&service=git-upload-pack",
            "service=git%2dupload-pack",
            "serv%69ce=git-upload-pack",
            "service=git-upload-pack#",
            "service=git-upload-pack\0",
        ] {
            assert_eq!(Service::parse(query), None, "{query:?}");
        }
    }

    #[test]
    fn the_highest_known_version_is_taken() {
        for (value, expected) in [
            ("", Version::V0),
            ("version=2", Version::V2),
            ("version=1", Version::V1),
            ("version=0:version=2:x", Version::V2),
            ("version=3", Version::V0),
            ("version=2 ", Version::V0),
            ("version=22", Version::V0),
        ] {
            assert_eq!(Version::negotiate(value), expected, "{value:?}");
        }
        assert_eq!(Version::V2.for_service(Service::ReceivePack), Version::V0);
        assert_eq!(Version::V2.for_service(Service::UploadPack), Version::V2);
    }
}
