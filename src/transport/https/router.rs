//! Which request is which: method, path and query, read once and strictly. The route alone decides what is done
//! (attack checklist B11, I2): no parameter, header or body changes it.

use hyper::http::{Method, Uri};

use crate::operations::{GitService, RepositoryPath};
use crate::transport::repository_path;

/// A request that somebody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /healthz`: the process answers.
    Health,
    /// `GET /readyz`: database, blob store and keyring answer.
    Ready,
    /// `POST /`, and `GET /` for what is presigned: the API.
    Api,
    /// `GET REPOSITORY/info/refs?service=SERVICE`
    Advertise(GitService, RepositoryPath),
    /// `POST REPOSITORY/SERVICE`
    Rpc(GitService, RepositoryPath),
}

/// Why nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is written in a way that two readers could understand differently. 400.
    #[error("the path is not written plainly")]
    AmbiguousPath,
    /// 404.
    #[error("not found")]
    NotFound,
    /// 405, with the method that the path knows.
    #[error("the method is not allowed here")]
    Method {
        /// For the `Allow` header.
        allow: &'static str,
    },
    /// The query is not exactly what the route takes. 400.
    #[error("the query is not `service=git-upload-pack` or `service=git-receive-pack`")]
    Query,
    /// A client that speaks only the protocol of 2009. 403.
    #[error("this server speaks Git's smart HTTP protocol only")]
    DumbProtocol,
}

/// Finds the route of a request.
pub fn route(method: &Method, uri: &Uri) -> Result<Route, RouteError> {
    let path = plain_path(uri.path())?;
    if path.is_empty() {
        return match *method {
            Method::POST | Method::GET => Ok(Route::Api),
            _ => Err(RouteError::Method { allow: "POST" }),
        };
    }
    if path == "healthz" || path == "readyz" {
        allow(method, &Method::GET, "GET")?;
        return Ok(if path == "healthz" { Route::Health } else { Route::Ready });
    }
    if let Some(repository) = path.strip_suffix("/info/refs") {
        let repository = repository_path::parse(repository).ok_or(RouteError::NotFound)?;
        allow(method, &Method::GET, "GET")?;
        let service = match uri.query() {
            None | Some("") => return Err(RouteError::DumbProtocol),
            Some("service=git-upload-pack") => GitService::UploadPack,
            Some("service=git-receive-pack") => GitService::ReceivePack,
            Some(_) => return Err(RouteError::Query),
        };
        return Ok(Route::Advertise(service, repository));
    }
    let (repository, service) = path.rsplit_once('/').ok_or(RouteError::NotFound)?;
    let service = match service {
        "git-upload-pack" => GitService::UploadPack,
        "git-receive-pack" => GitService::ReceivePack,
        _ => return Err(RouteError::NotFound),
    };
    let repository = repository_path::parse(repository).ok_or(RouteError::NotFound)?;
    allow(method, &Method::POST, "POST")?;
    match uri.query() {
        None => Ok(Route::Rpc(service, repository)),
        Some(_) => Err(RouteError::Query),
    }
}

fn allow(method: &Method, allowed: &Method, name: &'static str) -> Result<(), RouteError> {
    if method == allowed { Ok(()) } else { Err(RouteError::Method { allow: name }) }
}

/// The path without the slash at its beginning, decoded once. What could be read in two ways is refused: encoded slashes,
/// backslashes and NUL, dot segments, empty segments, parameters after `;`, what is not UTF-8.
fn plain_path(path: &str) -> Result<String, RouteError> {
    let ambiguous = Err(RouteError::AmbiguousPath);
    let Some(path) = path.strip_prefix('/') else {
        return ambiguous;
    };
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit));
        let (Some(high), Some(low)) = digits else {
            return ambiguous;
        };
        match high << 4 | low {
            b'/' | b'\\' | b'%' | b';' | b'?' | b'#' => return ambiguous,
            byte => decoded.push(byte),
        }
    }
    let Ok(decoded) = String::from_utf8(decoded) else {
        return ambiguous;
    };
    if decoded.chars().any(|c| c.is_control() || c == '\\' || c == ';') {
        return ambiguous;
    }
    if !decoded.is_empty() && decoded.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return ambiguous;
    }
    Ok(decoded)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{AccountId, RepositoryName};

    fn at(method: &str, uri: &str) -> Result<Route, RouteError> {
        route(&method.parse().unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn what_git_asks() {
        let own = || RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap());
        let by_account = RepositoryPath::ByAccount(
            AccountId::parse("111111111111").unwrap(),
            RepositoryName::parse("shop").unwrap(),
        );
        for (method, uri, route) in [
            ("POST", "/", Route::Api),
            ("GET", "/?Action=GetCallerIdentity", Route::Api),
            ("GET", "/healthz", Route::Health),
            ("GET", "/readyz", Route::Ready),
            (
                "GET",
                "/v1/repos/shop/info/refs?service=git-upload-pack",
                Route::Advertise(GitService::UploadPack, own()),
            ),
            (
                "GET",
                "/v1/repos/shop.git/info/refs?service=git-receive-pack",
                Route::Advertise(GitService::ReceivePack, own()),
            ),
            ("POST", "/v1/repos/shop/git-upload-pack", Route::Rpc(GitService::UploadPack, own())),
            ("POST", "/v1/repos/sh%6fp/git-receive-pack", Route::Rpc(GitService::ReceivePack, own())),
            ("POST", "/111111111111/shop.git/git-upload-pack", Route::Rpc(GitService::UploadPack, by_account)),
        ] {
            assert_eq!(at(method, uri), Ok(route), "{uri}");
        }
    }

    // A4 B11 I2
    #[test]
    fn what_attackers_ask() {
        use RouteError::{AmbiguousPath, DumbProtocol, NotFound, Query};
        for (method, uri, error) in [
            ("GET", "//healthz", AmbiguousPath),
            ("GET", "/healthz/", AmbiguousPath),
            ("GET", "/v1/repos/shop/info/refs", DumbProtocol),
            ("GET", "/v1/repos/shop/info/refs?service=git-upload-archive", Query),
            ("GET", "/v1/repos/shop/info/refs?service=GIT-UPLOAD-PACK", Query),
            ("GET", "/v1/repos/shop/info/refs?service=git-upload-pack&service=git-receive-pack", Query),
            ("GET", "/v1/repos/shop/info/refs?service=git%2dupload-pack", Query),
            ("GET", "/v1/repos/shop/info/refs?x=1&service=git-upload-pack", Query),
            ("POST", "/v1/repos/shop/git-receive-pack?service=git-upload-pack", Query),
            ("POST", "/v1/repos/shop/git-upload-archive", NotFound),
            ("GET", "/v1/repos/shop/HEAD", NotFound),
            ("GET", "/v1/repos/shop/objects/info/packs", NotFound),
            ("POST", "/v1/repos/../git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/%2e%2e/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/%2e/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/%252e%252e/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/..%2fx/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%2fb/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%5cb/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%00/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a;x=1/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%3bx/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%zz/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/a%c0%af/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos//shop/git-upload-pack", AmbiguousPath),
            ("POST", "/v1/repos/shop./git-upload-pack", NotFound),
            ("POST", "/v1/repos/a/b/c/d/e/f/g/git-upload-pack", NotFound),
            ("POST", "/111111111111/shop/git-upload-pack", NotFound),
            ("POST", "/1111/shop.git/git-upload-pack", NotFound),
            ("POST", "/v1/repos/%EF%BC%8E%EF%BC%8E/git-upload-pack", NotFound),
            ("POST", "/v1/repos/.git/git-upload-pack", NotFound),
        ] {
            assert_eq!(at(method, uri), Err(error), "{method} {uri}");
        }
        assert_eq!(
            at("POST", "/v1/repos/shop/info/refs?service=git-upload-pack"),
            Err(RouteError::Method { allow: "GET" })
        );
        assert_eq!(at("GET", "/v1/repos/shop/git-upload-pack"), Err(RouteError::Method { allow: "POST" }));
        assert_eq!(at("HEAD", "/healthz"), Err(RouteError::Method { allow: "GET" }));
    }
}
