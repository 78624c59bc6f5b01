//! Lines that differ, versions of a file, whose lines they are, and commits that are looked for. The last two are our own
//! (`Lockgate_20261123`): AWS has none like them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::{CodeCommit, Lockgate};
use super::content::{Commit, MAX_CONTENT_BYTES, commit_of, object_id, path, too_large};
use super::{find, names_repository, of_failure, of_repository};
use crate::names::{ObjectId, escape_for_people};
use crate::operations::authorize::Weight::Read;
use crate::operations::browsing::Looked;
use crate::operations::looking_back::line_diff::{self, Change};
use crate::operations::looking_back::{BlameLooked, Wanted};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    let action = "codecommit:GetBlobDifferences";
    all.add(CodeCommit, "GetBlobDifferences", action, Read, of_repository, get_blob_differences)?;
    let action = "codecommit:ListFileCommitHistory";
    all.add(CodeCommit, "ListFileCommitHistory", action, Read, of_repository, list_file_commit_history)?;
    all.add(Lockgate, "BlameFile", "codecommit:BlameFile", Read, of_repository, blame_file)?;
    all.add(Lockgate, "SearchCommits", "codecommit:SearchCommits", Read, of_repository, search_commits)
}

names_repository!(GetBlobDifferences, ListFileCommitHistory, BlameFile, SearchCommits);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetBlobDifferences {
    #[serde(default)]
    repository_name: String,
    #[serde(default)]
    after_blob_id: String,
    before_blob_id: Option<String>,
    context_lines: Option<i64>,
    #[serde(default)]
    ignore_whitespace: bool,
    #[serde(rename = "MaxResults")]
    max_results: Option<i64>,
    #[serde(rename = "NextToken")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffChange {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_line_number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_line_number: Option<u32>,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiffHunk {
    before_start_line: u32,
    before_line_count: u32,
    after_start_line: u32,
    after_line_count: u32,
    changes: Vec<DiffChange>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobDifferences {
    hunks: Vec<DiffHunk>,
    is_binary: bool,
    before_blob_size: usize,
    after_blob_size: usize,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

const DEFAULT_CONTEXT: i64 = 3;
const MAX_CONTEXT: i64 = 20;
/// The model's, of changes in a hunk; here also of a page, so that an answer is bounded.
const MAX_CHANGES: usize = 25_000;
const DEFAULT_RESULTS: i64 = 100;
const MAX_RESULTS: i64 = 1000;

/// How many results are wanted.
fn results(given: Option<i64>, name: &str) -> Result<usize, ApiError> {
    let most = given.unwrap_or(DEFAULT_RESULTS);
    if !(1..=MAX_RESULTS).contains(&most) {
        let message = format!("{name} is a number between 1 and {MAX_RESULTS}");
        return Err(ApiError::client("InvalidMaxResultsException", 400, message));
    }
    Ok(most as usize)
}

fn bad_token() -> ApiError {
    ApiError::client("InvalidContinuationTokenException", 400, "the token is none of this list's")
}

fn get_blob_differences(call: &Call<'_>, input: GetBlobDifferences) -> Result<BlobDifferences, ApiError> {
    let record = find(call, &input.repository_name)?;
    let after = object_id(&input.after_blob_id, "Blob")?;
    let given = input.before_blob_id.as_deref().filter(|id| !id.is_empty());
    let before = given.map(|id| object_id(id, "Blob")).transpose()?;
    let context = input.context_lines.unwrap_or(DEFAULT_CONTEXT);
    if !(0..=MAX_CONTEXT).contains(&context) {
        let message = format!("contextLines is a number between 0 and {MAX_CONTEXT}");
        return Err(ApiError::client("ValidationException", 400, message));
    }
    let most = results(input.max_results, "MaxResults")?;
    // Blobs never change, and so the place in their hunks says where to go on.
    let skip: usize = input.next_token.as_ref().map_or(Ok(0), |token| token.parse().map_err(|_| bad_token()))?;
    let read = |id: &ObjectId| match call.host.blob(&record, id, MAX_CONTENT_BYTES).map_err(of_failure)? {
        Looked::Found(content) => Ok(content),
        Looked::TooLarge => Err(too_large()),
        Looked::Nothing => Err(ApiError::client("BlobIdDoesNotExistException", 400, format!("there is no blob {id}"))),
    };
    let old = before.as_ref().map(read).transpose()?.unwrap_or_else(|| Arc::from(&[][..]));
    let new = read(&after)?;
    let mut out = BlobDifferences {
        hunks: Vec::new(),
        is_binary: line_diff::is_binary(&old) || line_diff::is_binary(&new),
        before_blob_size: old.len(),
        after_blob_size: new.len(),
        next_token: None,
    };
    if out.is_binary {
        return Ok(out);
    }
    let (old, new) = (line_diff::lines(&old), line_diff::lines(&new));
    let hunks = line_diff::hunks(&old, &new, context as u32, input.ignore_whitespace, MAX_CHANGES);
    let hunks = hunks.map_err(|error| ApiError::client("FileTooLargeException", 400, error.to_string()))?;
    let n_hunks = hunks.len();
    let mut n_changes = 0;
    for hunk in hunks.into_iter().skip(skip).take(most) {
        n_changes += hunk.lines.len();
        if n_changes > MAX_CHANGES {
            break;
        }
        let change = |line: line_diff::HunkLine<'_>| DiffChange {
            kind: match line.change {
                Change::Context => "CONTEXT",
                Change::Add => "ADD",
                Change::Delete => "DELETE",
            },
            before_line_number: line.before,
            after_line_number: line.after,
            content: String::from_utf8_lossy(line_diff::without_newline(line.content)).into_owned(),
        };
        out.hunks.push(DiffHunk {
            before_start_line: hunk.before_start,
            before_line_count: hunk.before_count,
            after_start_line: hunk.after_start,
            after_line_count: hunk.after_count,
            changes: hunk.lines.into_iter().map(change).collect(),
        });
    }
    let next = skip.saturating_add(out.hunks.len());
    out.next_token = (next < n_hunks).then(|| next.to_string());
    Ok(out)
}

/// A list of what a commit reaches goes on from that commit, wherever the branch is by then: `ID:NUMBER`.
fn start(
    call: &Call<'_>,
    record: &crate::identity::RepositoryRecord,
    specifier: Option<&str>,
    token: Option<&str>,
) -> Result<(ObjectId, usize), ApiError> {
    let Some(token) = token else { return Ok((commit_of(call, record, specifier)?, 0)) };
    let (id, skip) = token.split_once(':').ok_or_else(bad_token)?;
    let id = ObjectId::from_hex(id.as_bytes()).map_err(|_| bad_token())?;
    let skip = skip.parse().map_err(|_| bad_token())?;
    // It may have gone meanwhile; and a token is not more than what the caller may name.
    let found = call.host.resolve_commit(record, &id.to_string()).map_err(of_failure)?;
    Ok((found.ok_or_else(bad_token)?, skip))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListFileCommitHistory {
    #[serde(default)]
    repository_name: String,
    commit_specifier: Option<String>,
    file_path: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileVersion {
    commit: Commit,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_id: Option<String>,
    path: String,
    revision_children: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileHistory {
    revision_dag: Vec<FileVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn list_file_commit_history(call: &Call<'_>, input: ListFileCommitHistory) -> Result<FileHistory, ApiError> {
    let record = find(call, &input.repository_name)?;
    let path = path(input.file_path.as_deref())?;
    let most = results(input.max_results, "maxResults")?;
    let (commit, skip) = start(call, &record, input.commit_specifier.as_deref(), input.next_token.as_deref())?;
    let page = (skip, most + 1);
    let mut found = call.host.path_history(&record, &commit, path.as_bytes(), page).map_err(of_failure)?;
    let next_token = (found.len() > most).then(|| format!("{commit}:{}", skip + most));
    found.truncate(most);
    let version = |(version, commit): (crate::operations::looking_back::Version, _)| FileVersion {
        commit: Commit::of(commit),
        // A folder's id is none of a blob.
        blob_id: version.entry.filter(|side| side.mode & 0o170000 != 0o040000).map(|side| side.id.to_string()),
        path: String::from_utf8_lossy(&version.path).into_owned(),
        revision_children: version.children.iter().map(ToString::to_string).collect(),
    };
    Ok(FileHistory { revision_dag: found.into_iter().map(version).collect(), next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlameFile {
    #[serde(default)]
    repository_name: String,
    commit_specifier: Option<String>,
    file_path: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlamedLines {
    start_line: u32,
    line_count: u32,
    commit_id: String,
    file_path: String,
    original_start_line: u32,
    is_boundary: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileBlame {
    commit_id: String,
    lines: Vec<BlamedLines>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn blame_file(call: &Call<'_>, input: BlameFile) -> Result<FileBlame, ApiError> {
    let record = find(call, &input.repository_name)?;
    let path = path(input.file_path.as_deref())?;
    let most = results(input.max_results, "maxResults")?;
    let (commit, skip) = start(call, &record, input.commit_specifier.as_deref(), input.next_token.as_deref())?;
    let shown = || escape_for_people(path.as_bytes(), 300);
    let looked = call.host.blame(&record, &commit, path.as_bytes(), MAX_CONTENT_BYTES).map_err(of_failure)?;
    let lines = match looked {
        BlameLooked::Lines(lines) => lines,
        BlameLooked::NoFile => {
            let message = format!("there is no file `{}` in {commit}", shown());
            return Err(ApiError::client("FileDoesNotExistException", 400, message));
        }
        BlameLooked::Binary => {
            let message = format!("the file `{}` is binary: it has no lines", shown());
            return Err(ApiError::client("ValidationException", 400, message));
        }
        BlameLooked::TooLarge => return Err(too_large()),
    };
    let next = skip.saturating_add(most);
    let next_token = (next < lines.len()).then(|| format!("{commit}:{next}"));
    let blamed = |blamed: crate::operations::looking_back::Blamed| BlamedLines {
        start_line: blamed.line,
        line_count: blamed.count,
        commit_id: blamed.commit.to_string(),
        file_path: String::from_utf8_lossy(&blamed.path).into_owned(),
        original_start_line: blamed.original_line,
        is_boundary: blamed.is_boundary,
    };
    let lines = lines.into_iter().skip(skip).take(most).map(blamed).collect();
    Ok(FileBlame { commit_id: commit.to_string(), lines, next_token })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchCommits {
    #[serde(default)]
    repository_name: String,
    commit_specifier: Option<String>,
    author: Option<String>,
    committer: Option<String>,
    message: Option<String>,
    file_path: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundCommits {
    commits: Vec<Commit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// Longest text that is looked for, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

fn search_commits(call: &Call<'_>, input: SearchCommits) -> Result<FoundCommits, ApiError> {
    let record = find(call, &input.repository_name)?;
    let texts = [("author", &input.author), ("committer", &input.committer), ("message", &input.message)];
    for (name, text) in texts {
        if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            let message = format!("{name} has up to {MAX_TEXT_BYTES} bytes");
            return Err(ApiError::client("ValidationException", 400, message));
        }
    }
    let at = input.file_path.as_deref().filter(|at| !at.is_empty()).map(|at| path(Some(at))).transpose()?;
    let most = results(input.max_results, "maxResults")?;
    let (commit, skip) = start(call, &record, input.commit_specifier.as_deref(), input.next_token.as_deref())?;
    let wanted = Wanted {
        path: at.map(|at| at.as_bytes().to_vec()),
        author: input.author,
        committer: input.committer,
        message: input.message,
        since: input.since,
        until: input.until,
    };
    let found = call.host.search_commits(&record, &commit, &wanted, (skip, most)).map_err(of_failure)?;
    let next_token = found.next.map(|next| format!("{commit}:{next}"));
    Ok(FoundCommits { commits: found.commits.into_iter().map(Commit::of).collect(), next_token })
}
