//! Files put and deleted, one by one and many in one commit.

use serde::{Deserialize, Serialize};

use super::super::codec::Blob;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::changes::{of_branch, of_change, words};
use super::content::{MAX_CONTENT_BYTES, file_mode, path};
use super::{branch_name, find};
use crate::names::{ObjectId, escape_for_people};
use crate::operations::commits::{FileChange, FileEdits, FileMode, Put, PutContent};
use crate::policy::{Action, RefFacts};

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add_change(CodeCommit, "PutFile", "codecommit:PutFile", of_put, put)?;
    all.add_change(CodeCommit, "DeleteFile", "codecommit:DeleteFile", of_delete, delete)?;
    all.add_change(CodeCommit, "CreateCommit", "codecommit:CreateCommit", of_commit, commit)
}

/// Most bytes of all files that one commit puts.
const MAX_TOTAL_BYTES: usize = 7 << 20;
/// Most files that one commit changes.
const MAX_ENTRIES: usize = 100;

/// The commit that the caller builds on.
fn parent_id(given: Option<&str>) -> Result<Option<ObjectId>, ApiError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(None) };
    ObjectId::from_hex(given.as_bytes()).map(Some).map_err(|_| {
        let shown = escape_for_people(given.as_bytes(), 80);
        let message = format!("`{shown}` is no id of a commit: 40 hexadecimal digits");
        ApiError::client("InvalidParentCommitIdException", 400, message)
    })
}

/// A mode in the model's words.
pub(super) fn mode_of(given: &str) -> Result<FileMode, ApiError> {
    match given {
        "NORMAL" => Ok(FileMode::Normal),
        "EXECUTABLE" => Ok(FileMode::Executable),
        "SYMLINK" => Ok(FileMode::Symlink),
        other => {
            let shown = escape_for_people(other.as_bytes(), 40);
            let message = format!("`{shown}` is no file mode: NORMAL, EXECUTABLE or SYMLINK");
            Err(ApiError::client("InvalidFileModeException", 400, message))
        }
    }
}

fn optional_mode(given: Option<&str>) -> Result<Option<FileMode>, ApiError> {
    given.filter(|given| !given.is_empty()).map(mode_of).transpose()
}

fn within_limit(content: &[u8]) -> Result<(), ApiError> {
    if content.len() as u64 > MAX_CONTENT_BYTES {
        let message = format!("files of more than {MAX_CONTENT_BYTES} bytes are not taken here: push them");
        return Err(ApiError::client("FileContentSizeLimitExceededException", 400, message));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutFile {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
    file_content: Option<Blob>,
    file_path: Option<String>,
    file_mode: Option<String>,
    parent_commit_id: Option<String>,
    commit_message: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FilePut {
    commit_id: String,
    blob_id: String,
    tree_id: String,
}

fn of_put(call: &Call<'_>, input: &PutFile) -> Result<RefFacts, ApiError> {
    of_branch(call, &input.repository_name, input.branch_name.as_deref())
}

fn put(call: &Call<'_>, action: &Action, input: PutFile) -> Result<FilePut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let branch = branch_name(input.branch_name.as_deref())?;
    let path = path(input.file_path.as_deref())?.to_owned();
    let Some(Blob(content)) = input.file_content else {
        return Err(ApiError::client("FileContentRequiredException", 400, "fileContent is required"));
    };
    within_limit(&content)?;
    let parent = parent_id(input.parent_commit_id.as_deref())?;
    let mode = optional_mode(input.file_mode.as_deref())?;
    let words = words(input.name, input.email, input.commit_message)?;
    let edits =
        FileEdits { puts: vec![Put { path, mode, content: PutContent::Bytes(content) }], ..FileEdits::default() };
    let made = call.host.commit_files(call.ctx, &record, action, &branch, parent.as_ref(), &edits, &words);
    let made = made.map_err(|why| of_change(call, why))?;
    let blob = made.added.first().or(made.updated.first()).map(|file| file.blob.to_string());
    Ok(FilePut {
        commit_id: made.commit.to_string(),
        blob_id: blob.unwrap_or_default(),
        tree_id: made.tree.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteFile {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
    file_path: Option<String>,
    parent_commit_id: Option<String>,
    #[serde(default)]
    keep_empty_folders: bool,
    commit_message: Option<String>,
    name: Option<String>,
    email: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDeleted {
    commit_id: String,
    blob_id: String,
    tree_id: String,
    file_path: String,
}

fn of_delete(call: &Call<'_>, input: &DeleteFile) -> Result<RefFacts, ApiError> {
    of_branch(call, &input.repository_name, input.branch_name.as_deref())
}

fn delete(call: &Call<'_>, action: &Action, input: DeleteFile) -> Result<FileDeleted, ApiError> {
    let record = find(call, &input.repository_name)?;
    let branch = branch_name(input.branch_name.as_deref())?;
    let path = path(input.file_path.as_deref())?.to_owned();
    let Some(parent) = parent_id(input.parent_commit_id.as_deref())? else {
        let message = "parentCommitId is required: the commit that the branch stands at";
        return Err(ApiError::client("ParentCommitIdRequiredException", 400, message));
    };
    let words = words(input.name, input.email, input.commit_message)?;
    let keep_empty_folders = input.keep_empty_folders;
    let edits = FileEdits { deletes: vec![path.clone()], keep_empty_folders, ..FileEdits::default() };
    let made = call.host.commit_files(call.ctx, &record, action, &branch, Some(&parent), &edits, &words);
    let made = made.map_err(|why| of_change(call, why))?;
    Ok(FileDeleted {
        commit_id: made.commit.to_string(),
        blob_id: made.deleted.first().map(|file| file.blob.to_string()).unwrap_or_default(),
        tree_id: made.tree.to_string(),
        file_path: path.trim_matches('/').to_owned(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateCommit {
    #[serde(default)]
    repository_name: String,
    branch_name: Option<String>,
    parent_commit_id: Option<String>,
    author_name: Option<String>,
    email: Option<String>,
    commit_message: Option<String>,
    #[serde(default)]
    keep_empty_folders: bool,
    #[serde(default)]
    put_files: Vec<PutEntry>,
    #[serde(default)]
    delete_files: Vec<DeleteEntry>,
    #[serde(default)]
    set_file_modes: Vec<ModeEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutEntry {
    file_path: Option<String>,
    file_mode: Option<String>,
    file_content: Option<Blob>,
    source_file: Option<SourceFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceFile {
    file_path: Option<String>,
    #[serde(default)]
    is_move: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteEntry {
    pub(super) file_path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModeEntry {
    pub(super) file_path: Option<String>,
    pub(super) file_mode: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitMade {
    commit_id: String,
    tree_id: String,
    files_added: Vec<FileMetadata>,
    files_updated: Vec<FileMetadata>,
    files_deleted: Vec<FileMetadata>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileMetadata {
    absolute_path: String,
    blob_id: String,
    file_mode: &'static str,
}

fn of_commit(call: &Call<'_>, input: &CreateCommit) -> Result<RefFacts, ApiError> {
    of_branch(call, &input.repository_name, input.branch_name.as_deref())
}

pub(super) fn delete_paths(entries: &[DeleteEntry]) -> Result<Vec<String>, ApiError> {
    entries.iter().map(|entry| Ok(path(entry.file_path.as_deref())?.to_owned())).collect()
}

pub(super) fn mode_changes(entries: &[ModeEntry]) -> Result<Vec<(String, FileMode)>, ApiError> {
    let one = |entry: &ModeEntry| {
        let Some(mode) = entry.file_mode.as_deref().filter(|mode| !mode.is_empty()) else {
            return Err(ApiError::client("FileModeRequiredException", 400, "fileMode is required"));
        };
        Ok((path(entry.file_path.as_deref())?.to_owned(), mode_of(mode)?))
    };
    entries.iter().map(one).collect()
}

fn put_of(entry: PutEntry) -> Result<Put, ApiError> {
    let at = path(entry.file_path.as_deref())?.to_owned();
    let content = match (entry.file_content, entry.source_file) {
        (Some(_), Some(_)) => {
            let message = format!(
                "`{}` has content and a source file: one of them is given",
                escape_for_people(at.as_bytes(), 200)
            );
            return Err(ApiError::client("FileContentAndSourceFileSpecifiedException", 400, message));
        }
        (None, None) => {
            let message = format!("`{}` has neither content nor a source file", escape_for_people(at.as_bytes(), 200));
            return Err(ApiError::client("SourceFileOrContentRequiredException", 400, message));
        }
        (Some(Blob(content)), None) => {
            within_limit(&content)?;
            PutContent::Bytes(content)
        }
        (None, Some(source)) => {
            PutContent::From { path: path(source.file_path.as_deref())?.to_owned(), is_move: source.is_move }
        }
    };
    Ok(Put { path: at, mode: optional_mode(entry.file_mode.as_deref())?, content })
}

fn commit(call: &Call<'_>, action: &Action, input: CreateCommit) -> Result<CommitMade, ApiError> {
    let record = find(call, &input.repository_name)?;
    let branch = branch_name(input.branch_name.as_deref())?;
    let n_entries = input.put_files.len() + input.delete_files.len() + input.set_file_modes.len();
    if n_entries == 0 {
        let message = "at least one of putFiles, deleteFiles and setFileModes names a file";
        return Err(ApiError::client("FileEntryRequiredException", 400, message));
    }
    if n_entries > MAX_ENTRIES {
        let message = format!("a commit made here changes up to {MAX_ENTRIES} files: push what changes more");
        return Err(ApiError::client("MaximumFileEntriesExceededException", 400, message));
    }
    let parent = parent_id(input.parent_commit_id.as_deref())?;
    let words = words(input.author_name, input.email, input.commit_message)?;
    let puts = input.put_files.into_iter().map(put_of).collect::<Result<Vec<Put>, ApiError>>()?;
    let size = |put: &Put| match &put.content {
        PutContent::Bytes(bytes) => bytes.len(),
        PutContent::From { .. } => 0,
    };
    if puts.iter().map(size).sum::<usize>() > MAX_TOTAL_BYTES {
        let message = format!("a commit made here brings up to {MAX_TOTAL_BYTES} bytes: push what brings more");
        return Err(ApiError::client("FolderContentSizeLimitExceededException", 400, message));
    }
    let edits = FileEdits {
        puts,
        deletes: delete_paths(&input.delete_files)?,
        modes: mode_changes(&input.set_file_modes)?,
        keep_empty_folders: input.keep_empty_folders,
    };
    let made = call.host.commit_files(call.ctx, &record, action, &branch, parent.as_ref(), &edits, &words);
    let made = made.map_err(|why| of_change(call, why))?;
    let listed = |files: Vec<FileChange>| {
        let file = |file: FileChange| FileMetadata {
            absolute_path: file.path,
            blob_id: file.blob.to_string(),
            file_mode: file_mode(file.mode),
        };
        files.into_iter().map(file).collect()
    };
    Ok(CommitMade {
        commit_id: made.commit.to_string(),
        tree_id: made.tree.to_string(),
        files_added: listed(made.added),
        files_updated: listed(made.updated),
        files_deleted: listed(made.deleted),
    })
}
