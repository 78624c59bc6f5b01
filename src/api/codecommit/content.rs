//! Commits, folders and files, read.

use serde::{Deserialize, Serialize};

use super::super::codec::Blob;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::{find, names_repository, of_failure, of_repository};
use crate::names::{ObjectId, escape_for_people};
use crate::operations::authorize::Weight::Read;
use crate::operations::browsing::{Browsed, Difference, Looked, Side};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(CodeCommit, "GetCommit", "codecommit:GetCommit", Read, of_repository, get_commit)?;
    all.add(CodeCommit, "BatchGetCommits", "codecommit:BatchGetCommits", Read, of_repository, batch_get_commits)?;
    all.add(CodeCommit, "GetBlob", "codecommit:GetBlob", Read, of_repository, get_blob)?;
    all.add(CodeCommit, "GetFile", "codecommit:GetFile", Read, of_repository, get_file)?;
    all.add(CodeCommit, "GetFolder", "codecommit:GetFolder", Read, of_repository, get_folder)?;
    all.add(CodeCommit, "GetDifferences", "codecommit:GetDifferences", Read, of_repository, get_differences)
}

names_repository!(GetCommit, BatchGetCommits, GetBlob, GetFile, GetFolder, GetDifferences);

/// Longest content that is given, in bytes.
pub(super) const MAX_CONTENT_BYTES: u64 = 6 << 20;

#[derive(Serialize)]
struct Person {
    name: String,
    email: String,
    date: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Commit {
    commit_id: String,
    tree_id: String,
    parents: Vec<String>,
    message: String,
    author: Person,
    committer: Person,
    additional_data: String,
}

impl Commit {
    pub(super) fn of(commit: Browsed) -> Commit {
        let [author, committer] =
            [commit.author, commit.committer].map(|who| Person { name: who.name, email: who.email, date: who.date });
        Commit {
            commit_id: commit.id.to_string(),
            tree_id: commit.tree.to_string(),
            parents: commit.parents.iter().map(ToString::to_string).collect(),
            message: commit.message,
            author,
            committer,
            additional_data: commit.extra,
        }
    }
}

pub(super) fn object_id(text: &str, what: &str) -> Result<ObjectId, ApiError> {
    if text.is_empty() {
        let code = format!("{what}IdRequiredException");
        return Err(ApiError::client(&code, 400, format!("the id of a {} is required", what.to_lowercase())));
    }
    ObjectId::from_hex(text.as_bytes()).map_err(|_| {
        let shown = escape_for_people(text.as_bytes(), 80);
        ApiError::client(
            &format!("Invalid{what}IdException"),
            400,
            format!("`{shown}` is no id: 40 hexadecimal digits"),
        )
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetCommit {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    commit_id: String,
}

#[derive(Serialize)]
struct OneCommit {
    commit: Commit,
}

fn get_commit(call: &Call<'_>, input: GetCommit) -> Result<OneCommit, ApiError> {
    let record = find(call, &input.repository_name)?;
    let id = object_id(&input.commit_id, "Commit")?;
    let found = call.host.commit(&record, &id).map_err(of_failure)?;
    let found = found
        .ok_or_else(|| ApiError::client("CommitIdDoesNotExistException", 400, format!("there is no commit {id}")))?;
    Ok(OneCommit { commit: Commit::of(found) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchGetCommits {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    commit_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitProblem {
    commit_id: String,
    error_code: &'static str,
    error_message: String,
}

#[derive(Serialize)]
struct Commits {
    commits: Vec<Commit>,
    errors: Vec<CommitProblem>,
}

const MAX_COMMITS: usize = 100;

fn batch_get_commits(call: &Call<'_>, input: BatchGetCommits) -> Result<Commits, ApiError> {
    let record = find(call, &input.repository_name)?;
    if input.commit_ids.is_empty() {
        return Err(ApiError::client("CommitIdsListRequiredException", 400, "at least one commit id is required"));
    }
    if input.commit_ids.len() > MAX_COMMITS {
        let message = format!("at most {MAX_COMMITS} commit ids are taken");
        return Err(ApiError::client("CommitIdsLimitExceededException", 400, message));
    }
    let mut out = Commits { commits: Vec::new(), errors: Vec::new() };
    for commit_id in input.commit_ids {
        let found = match object_id(&commit_id, "Commit") {
            Ok(id) => call.host.commit(&record, &id).map_err(of_failure)?,
            Err(_) => None,
        };
        match found {
            Some(commit) => out.commits.push(Commit::of(commit)),
            None => out.errors.push(CommitProblem {
                error_message: format!("there is no commit {}", escape_for_people(commit_id.as_bytes(), 80)),
                commit_id,
                error_code: "CommitIdDoesNotExistException",
            }),
        }
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetBlob {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    blob_id: String,
}

#[derive(Serialize)]
struct Content {
    content: Blob,
}

pub(super) fn too_large() -> ApiError {
    let message = format!("files of more than {MAX_CONTENT_BYTES} bytes are not given here: clone the repository");
    ApiError::client("FileTooLargeException", 400, message)
}

fn get_blob(call: &Call<'_>, input: GetBlob) -> Result<Content, ApiError> {
    let record = find(call, &input.repository_name)?;
    let id = object_id(&input.blob_id, "Blob")?;
    match call.host.blob(&record, &id, MAX_CONTENT_BYTES).map_err(of_failure)? {
        Looked::Found(content) => Ok(Content { content: Blob(content.to_vec()) }),
        Looked::TooLarge => Err(too_large()),
        Looked::Nothing => Err(ApiError::client("BlobIdDoesNotExistException", 400, format!("there is no blob {id}"))),
    }
}

/// The commit that is meant; without a word the default branch's tip.
pub(super) fn commit_of(
    call: &Call<'_>,
    record: &crate::identity::RepositoryRecord,
    given: Option<&str>,
) -> Result<ObjectId, ApiError> {
    let specifier = given.filter(|text| !text.is_empty()).unwrap_or("HEAD");
    let found = call.host.resolve_commit(record, specifier).map_err(of_failure)?;
    found.ok_or_else(|| {
        let shown = escape_for_people(specifier.as_bytes(), 300);
        let message = match given.filter(|text| !text.is_empty()) {
            None => "the default branch has no commit yet".to_owned(),
            Some(_) => format!("`{shown}` is no branch, tag or full commit id of this repository"),
        };
        ApiError::client("CommitDoesNotExistException", 400, message)
    })
}

const MAX_PATH_CHARS: usize = 4096;

pub(super) fn path(given: Option<&str>) -> Result<&str, ApiError> {
    match given {
        None | Some("") => Err(ApiError::client("PathRequiredException", 400, "a path is required")),
        Some(path) if path.chars().count() > MAX_PATH_CHARS || path.contains('\0') => {
            let message = format!("a path has up to {MAX_PATH_CHARS} characters, and no NUL");
            Err(ApiError::client("InvalidPathException", 400, message))
        }
        Some(path) => Ok(path),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetFile {
    #[serde(default)]
    repository_name: String,
    commit_specifier: Option<String>,
    file_path: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    commit_id: String,
    blob_id: String,
    file_path: String,
    file_mode: &'static str,
    file_size: usize,
    file_content: Blob,
}

/// In the model's words.
pub(super) fn file_mode(mode: u32) -> &'static str {
    match mode & 0o170000 {
        0o120000 => "SYMLINK",
        _ if mode & 0o111 != 0 => "EXECUTABLE",
        _ => "NORMAL",
    }
}

fn get_file(call: &Call<'_>, input: GetFile) -> Result<File, ApiError> {
    let record = find(call, &input.repository_name)?;
    let path = path(input.file_path.as_deref())?;
    let commit = commit_of(call, &record, input.commit_specifier.as_deref())?;
    let found = call.host.file_at(&record, &commit, path.as_bytes(), MAX_CONTENT_BYTES).map_err(of_failure)?;
    match found {
        Looked::Found((entry, content)) => Ok(File {
            commit_id: commit.to_string(),
            blob_id: entry.id.to_string(),
            file_path: path.trim_matches('/').to_owned(),
            file_mode: file_mode(entry.mode),
            file_size: content.len(),
            file_content: Blob(content.to_vec()),
        }),
        Looked::TooLarge => Err(too_large()),
        Looked::Nothing => {
            let shown = escape_for_people(path.as_bytes(), 300);
            Err(ApiError::client("FileDoesNotExistException", 400, format!("there is no file `{shown}` in {commit}")))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetFolder {
    #[serde(default)]
    repository_name: String,
    commit_specifier: Option<String>,
    folder_path: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubFolder {
    tree_id: String,
    absolute_path: String,
    relative_path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    blob_id: String,
    absolute_path: String,
    relative_path: String,
    file_mode: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubModule {
    commit_id: String,
    absolute_path: String,
    relative_path: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Folder {
    commit_id: String,
    folder_path: String,
    tree_id: String,
    sub_folders: Vec<SubFolder>,
    files: Vec<Listed>,
    symbolic_links: Vec<Listed>,
    sub_modules: Vec<SubModule>,
}

fn get_folder(call: &Call<'_>, input: GetFolder) -> Result<Folder, ApiError> {
    let record = find(call, &input.repository_name)?;
    let path = path(input.folder_path.as_deref())?;
    let commit = commit_of(call, &record, input.commit_specifier.as_deref())?;
    let found = call.host.folder_at(&record, &commit, path.as_bytes()).map_err(of_failure)?;
    let shown = || escape_for_people(path.as_bytes(), 300);
    let (tree, entries) = match found {
        Looked::Found(found) => found,
        Looked::TooLarge => {
            let message = format!("the folder `{}` is too large to be listed here: clone the repository", shown());
            return Err(ApiError::client("FolderContentSizeLimitExceededException", 400, message));
        }
        Looked::Nothing => {
            let message = format!("there is no folder `{}` in {commit}", shown());
            return Err(ApiError::client("FolderDoesNotExistException", 400, message));
        }
    };
    let folder_path = path.trim_matches('/').to_owned();
    let mut out = Folder {
        commit_id: commit.to_string(),
        folder_path: folder_path.clone(),
        tree_id: tree.to_string(),
        sub_folders: Vec::new(),
        files: Vec::new(),
        symbolic_links: Vec::new(),
        sub_modules: Vec::new(),
    };
    for entry in entries {
        let relative_path = String::from_utf8_lossy(&entry.name).into_owned();
        let absolute_path = joined(&folder_path, &entry.name);
        let id = entry.id.to_string();
        match entry.mode & 0o170000 {
            0o040000 => out.sub_folders.push(SubFolder { tree_id: id, absolute_path, relative_path }),
            0o100000 | 0o120000 => {
                let mode = file_mode(entry.mode);
                let listed = Listed { blob_id: id, absolute_path, relative_path, file_mode: mode };
                if mode == "SYMLINK" { out.symbolic_links.push(listed) } else { out.files.push(listed) }
            }
            _ => out.sub_modules.push(SubModule { commit_id: id, absolute_path, relative_path }),
        }
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetDifferences {
    #[serde(default)]
    repository_name: String,
    before_commit_specifier: Option<String>,
    after_commit_specifier: Option<String>,
    before_path: Option<String>,
    after_path: Option<String>,
    #[serde(rename = "MaxResults")]
    max_results: Option<u32>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobMetadata {
    blob_id: String,
    path: String,
    mode: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    before_blob: Option<BlobMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_blob: Option<BlobMetadata>,
    change_type: &'static str,
}

#[derive(Serialize)]
struct Differences {
    differences: Vec<Changed>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

const DEFAULT_DIFFERENCES: u32 = 100;
const MAX_DIFFERENCES: u32 = 1000;

fn get_differences(call: &Call<'_>, input: GetDifferences) -> Result<Differences, ApiError> {
    let record = find(call, &input.repository_name)?;
    if input.after_commit_specifier.as_deref().is_none_or(str::is_empty) {
        let message = "afterCommitSpecifier says which commit is looked at";
        return Err(ApiError::client("CommitRequiredException", 400, message));
    }
    let most = input.max_results.unwrap_or(DEFAULT_DIFFERENCES);
    if !(1..=MAX_DIFFERENCES).contains(&most) {
        let message = format!("MaxResults is a number between 1 and {MAX_DIFFERENCES}");
        return Err(ApiError::client("InvalidMaxResultsException", 400, message));
    }
    // A commit never changes, and so the place in its differences says where to go on.
    let skip = match &input.next_token {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            ApiError::client("InvalidContinuationTokenException", 400, "the token is none of this list's")
        })?,
    };
    // A side that names no path has the other's.
    let given = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
    let (before_path, after_path) = (given(&input.before_path), given(&input.after_path));
    let whole = || "/".to_owned();
    let before_at = before_path.clone().or_else(|| after_path.clone()).unwrap_or_else(whole);
    let after_at = after_path.or(before_path).unwrap_or_else(whole);
    let (before_at, after_at) = (path(Some(&before_at))?, path(Some(&after_at))?);
    let after = commit_of(call, &record, input.after_commit_specifier.as_deref())?;
    let before = match input.before_commit_specifier.as_deref().filter(|text| !text.is_empty()) {
        Some(specifier) => Some(commit_of(call, &record, Some(specifier))?),
        None => None,
    };
    let found = call.host.differences(
        &record,
        before.as_ref().map(|commit| (commit, before_at.as_bytes())),
        (&after, after_at.as_bytes()),
        (skip, most as usize + 1),
    );
    let Some(mut found) = found.map_err(of_failure)? else {
        let shown = escape_for_people(after_at.as_bytes(), 300);
        return Err(ApiError::client("PathDoesNotExistException", 400, format!("there is nothing at `{shown}`")));
    };
    let next_token = (found.len() > most as usize).then(|| (skip + most as usize).to_string());
    found.truncate(most as usize);
    let side = |side: Option<Side>, at: &str, below: &[u8]| {
        side.map(|side| BlobMetadata {
            blob_id: side.id.to_string(),
            path: joined(at, below),
            mode: format!("{:06o}", side.mode),
        })
    };
    let changed = |difference: Difference| Changed {
        change_type: match (&difference.before, &difference.after) {
            (None, _) => "A",
            (_, None) => "D",
            _ => "M",
        },
        before_blob: side(difference.before, before_at, &difference.path),
        after_blob: side(difference.after, after_at, &difference.path),
    };
    Ok(Differences { differences: found.into_iter().map(changed).collect(), next_token })
}

/// A path below another one.
fn joined(at: &str, below: &[u8]) -> String {
    let (at, below) = (at.trim_matches('/'), String::from_utf8_lossy(below));
    match (at.is_empty(), below.is_empty()) {
        (true, _) => below.into_owned(),
        (_, true) => at.to_owned(),
        _ => format!("{at}/{below}"),
    }
}
