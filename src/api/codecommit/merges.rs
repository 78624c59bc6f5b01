//! Merges: what would come of one, its conflicts, and merging, with and without a pull request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::codec::Blob;
use super::super::error::ApiError;
use super::super::operation::{Call, NotRegistered, Operations};
use super::super::service::Service::CodeCommit;
use super::changes::{of_branch, of_change, of_ref, words};
use super::content::{MAX_CONTENT_BYTES, file_mode, path};
use super::edits::{DeleteEntry, ModeEntry, mode_changes, mode_of};
use super::pulls::{One, merge_option, one};
use super::reviews::{found, of_review, page};
use super::{find, names_repository, of_repository};
use crate::identity::RepositoryRecord;
use crate::names::{ObjectId, escape_for_people};
use crate::operations::authorize::Weight::Read;
use crate::operations::merging::{
    Conflict, ConflictDetail, ConflictSide, Lines, MergeFailure, MergeHunk, MergeOptions, MergeRequest, MergedTo,
    Operation, Pair, Resolution, Resolutions, Settling, SideKind,
};
use crate::policy::{Action, RefFacts};
use crate::review::pull_request::MergeOption;

pub(super) fn register(all: &mut Operations) -> Result<(), NotRegistered> {
    all.add(CodeCommit, "GetMergeOptions", "codecommit:GetMergeOptions", Read, of_repository, options)?;
    all.add(CodeCommit, "GetMergeConflicts", "codecommit:GetMergeConflicts", Read, of_repository, conflicts)?;
    all.add(CodeCommit, "GetMergeCommit", "codecommit:GetMergeCommit", Read, of_repository, merge_commit)?;
    let action = "codecommit:DescribeMergeConflicts";
    all.add(CodeCommit, "DescribeMergeConflicts", action, Read, of_repository, describe)?;
    let action = "codecommit:BatchDescribeMergeConflicts";
    all.add(CodeCommit, "BatchDescribeMergeConflicts", action, Read, of_repository, batch_describe)?;
    let action = "codecommit:CreateUnreferencedMergeCommit";
    all.add_change(CodeCommit, "CreateUnreferencedMergeCommit", action, of_unreferenced, unreferenced)?;
    let action = "codecommit:MergeBranchesByFastForward";
    all.add_change(CodeCommit, "MergeBranchesByFastForward", action, of_target, branches_fast_forward)?;
    let action = "codecommit:MergeBranchesBySquash";
    all.add_change(CodeCommit, "MergeBranchesBySquash", action, of_target, branches_squash)?;
    let action = "codecommit:MergeBranchesByThreeWay";
    all.add_change(CodeCommit, "MergeBranchesByThreeWay", action, of_target, branches_three_way)?;
    let action = "codecommit:MergePullRequestByFastForward";
    all.add_change(CodeCommit, "MergePullRequestByFastForward", action, of_pull, pull_fast_forward)?;
    let action = "codecommit:MergePullRequestBySquash";
    all.add_change(CodeCommit, "MergePullRequestBySquash", action, of_pull, pull_squash)?;
    let action = "codecommit:MergePullRequestByThreeWay";
    all.add_change(CodeCommit, "MergePullRequestByThreeWay", action, of_pull, pull_three_way)
}

names_repository!(Merge);

/// What all calls about merging two commits may say; each takes what is its.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Merge {
    #[serde(default)]
    repository_name: String,
    source_commit_specifier: Option<String>,
    destination_commit_specifier: Option<String>,
    target_branch: Option<String>,
    merge_option: Option<String>,
    file_path: Option<String>,
    file_paths: Option<Vec<String>>,
    max_conflict_files: Option<i64>,
    max_merge_hunks: Option<i64>,
    next_token: Option<String>,
    #[serde(flatten)]
    how: How,
}

/// How conflicts are found and settled, and what is said with the merge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct How {
    conflict_detail_level: Option<String>,
    conflict_resolution_strategy: Option<String>,
    conflict_resolution: Option<ResolutionIn>,
    author_name: Option<String>,
    email: Option<String>,
    commit_message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ResolutionIn {
    #[serde(default)]
    replace_contents: Vec<Replace>,
    #[serde(default)]
    delete_files: Vec<DeleteEntry>,
    #[serde(default)]
    set_file_modes: Vec<ModeEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replace {
    file_path: Option<String>,
    replacement_type: Option<String>,
    content: Option<Blob>,
    file_mode: Option<String>,
}

fn client(code: &str, message: impl Into<String>) -> ApiError {
    ApiError::client(code, 400, message)
}

/// Most files that are settled by hand.
const MAX_RESOLUTIONS: usize = 1000;

impl How {
    fn detail(&self) -> Result<ConflictDetail, ApiError> {
        match self.conflict_detail_level.as_deref() {
            None | Some("" | "FILE_LEVEL") => Ok(ConflictDetail::File),
            Some("LINE_LEVEL") => Ok(ConflictDetail::Line),
            Some(other) => {
                let shown = escape_for_people(other.as_bytes(), 40);
                let message = format!("`{shown}` is no level of detail: FILE_LEVEL or LINE_LEVEL");
                Err(client("InvalidConflictDetailLevelException", message))
            }
        }
    }

    fn settling(&self) -> Result<Settling, ApiError> {
        match self.conflict_resolution_strategy.as_deref() {
            None | Some("" | "NONE") => Ok(Settling::Nothing),
            Some("ACCEPT_SOURCE") => Ok(Settling::Source),
            Some("ACCEPT_DESTINATION") => Ok(Settling::Destination),
            Some("AUTOMERGE") => Ok(Settling::ByHand),
            Some(other) => {
                let shown = escape_for_people(other.as_bytes(), 40);
                let message = format!("`{shown}` is no strategy: NONE, ACCEPT_SOURCE, ACCEPT_DESTINATION or AUTOMERGE");
                Err(client("InvalidConflictResolutionStrategyException", message))
            }
        }
    }

    fn resolutions(&mut self) -> Result<Option<Resolutions>, ApiError> {
        let Some(given) = self.conflict_resolution.take() else { return Ok(None) };
        if self.settling()? != Settling::ByHand {
            let message = "conflictResolution is taken with the strategy AUTOMERGE alone";
            return Err(client("InvalidConflictResolutionException", message));
        }
        let n = given.replace_contents.len() + given.delete_files.len() + given.set_file_modes.len();
        if n > MAX_RESOLUTIONS {
            let message = format!("up to {MAX_RESOLUTIONS} conflicts are settled by one call");
            return Err(client("MaximumConflictResolutionEntriesExceededException", message));
        }
        let mut out = Resolutions::default();
        let twice = |at: &str| {
            let shown = escape_for_people(at.as_bytes(), 300);
            client("MultipleConflictResolutionEntriesException", format!("`{shown}` is settled twice"))
        };
        for entry in given.replace_contents {
            let at = path(entry.file_path.as_deref())?.trim_matches('/').to_owned();
            let mode = entry.file_mode.as_deref().filter(|mode| !mode.is_empty()).map(mode_of).transpose()?;
            let resolution = match entry.replacement_type.as_deref() {
                Some("KEEP_BASE") => Resolution::Base,
                Some("KEEP_SOURCE") => Resolution::Source,
                Some("KEEP_DESTINATION") => Resolution::Destination,
                Some("USE_NEW_CONTENT") => match entry.content {
                    Some(Blob(content)) if content.len() as u64 > MAX_CONTENT_BYTES => {
                        let message = format!("files of more than {MAX_CONTENT_BYTES} bytes are not taken here");
                        return Err(client("FileContentSizeLimitExceededException", message));
                    }
                    Some(Blob(content)) => Resolution::Content(content),
                    None => {
                        let message = "USE_NEW_CONTENT takes content";
                        return Err(client("ReplacementContentRequiredException", message));
                    }
                },
                None | Some("") => {
                    return Err(client("ReplacementTypeRequiredException", "replacementType is required"));
                }
                Some(other) => {
                    let shown = escape_for_people(other.as_bytes(), 40);
                    let message = format!(
                        "`{shown}` is no replacement: KEEP_BASE, KEEP_SOURCE, KEEP_DESTINATION or USE_NEW_CONTENT"
                    );
                    return Err(client("InvalidReplacementTypeException", message));
                }
            };
            if out.files.insert(at.clone(), (resolution, mode.map(|mode| mode.bits()))).is_some() {
                return Err(twice(&at));
            }
        }
        for at in super::edits::delete_paths(&given.delete_files)? {
            let at = at.trim_matches('/').to_owned();
            if out.files.insert(at.clone(), (Resolution::Delete, None)).is_some() {
                return Err(twice(&at));
            }
        }
        let modes: BTreeMap<String, u32> = mode_changes(&given.set_file_modes)?
            .into_iter()
            .map(|(at, mode)| (at.trim_matches('/').to_owned(), mode.bits()))
            .collect();
        if let Some(at) = modes.keys().find(|at| out.files.contains_key(*at)) {
            return Err(twice(at));
        }
        out.modes = modes;
        Ok(Some(out))
    }

    fn options<'a>(&self, resolutions: Option<&'a Resolutions>) -> Result<MergeOptions<'a>, ApiError> {
        Ok(MergeOptions { detail: self.detail()?, settling: self.settling()?, resolutions, ..MergeOptions::default() })
    }
}

fn specifier<'a>(given: &'a Option<String>, which: &str) -> Result<&'a str, ApiError> {
    match given.as_deref() {
        None | Some("") => {
            Err(client("CommitRequiredException", format!("{which}CommitSpecifier says which commit is meant")))
        }
        Some(text) if text.len() > 1024 => {
            let code = match which {
                "source" => "InvalidSourceCommitSpecifierException",
                _ => "InvalidDestinationCommitSpecifierException",
            };
            Err(client(code, "a commit specifier has up to 1024 bytes"))
        }
        Some(text) => Ok(text),
    }
}

impl Merge {
    fn specifiers(&self) -> Result<(&str, &str), ApiError> {
        let source = specifier(&self.source_commit_specifier, "source")?;
        Ok((source, specifier(&self.destination_commit_specifier, "destination")?))
    }
}

/// Why nothing was merged, in the model's words.
fn of_merge(call: &Call<'_>, failure: MergeFailure) -> ApiError {
    use crate::operations::merging::MergeProblem as P;
    let text = failure.to_string();
    let code = match failure {
        MergeFailure::Change(failure) => return of_change(call, failure),
        MergeFailure::Review(failure) => return of_review(failure),
        MergeFailure::Merge(error) => match P::of(&error) {
            P::NoCommit => "CommitDoesNotExistException",
            P::Unrelated => "TipsDivergenceExceededException",
            P::TooMuch => "MaximumFileContentToLoadExceededException",
            P::TooMany => "MaximumItemsToCompareExceededException",
            P::ByHand => "ManualMergeRequiredException",
            P::Resolution => "InvalidConflictResolutionException",
            P::Path => "InvalidPathException",
            P::Failed => return ApiError::internal(&error),
        },
        MergeFailure::Conflicts(_) | MergeFailure::NotFastForward => "ManualMergeRequiredException",
        MergeFailure::NoCommit(_) => "CommitDoesNotExistException",
        MergeFailure::OtherTarget(_) => "InvalidTargetBranchException",
        MergeFailure::OtherSource(_) => "TipOfSourceReferenceIsDifferentException",
        MergeFailure::NoFile(_) => "FileDoesNotExistException",
        MergeFailure::OtherRepository => "RepositoryNotAssociatedWithPullRequestException",
    };
    client(code, text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ids {
    source_commit_id: String,
    destination_commit_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_commit_id: Option<String>,
}

fn ids(pair: &Pair) -> Ids {
    Ids {
        source_commit_id: pair.source.to_string(),
        destination_commit_id: pair.destination.to_string(),
        base_commit_id: pair.base.map(|id| id.to_string()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionsOut {
    merge_options: Vec<&'static str>,
    #[serde(flatten)]
    ids: Ids,
}

fn options(call: &Call<'_>, input: Merge) -> Result<OptionsOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let (source, destination) = input.specifiers()?;
    let found = call.host.merge_options(&record, source, destination, &input.how.options(None)?);
    let (pair, ways) = found.map_err(|why| of_merge(call, why))?;
    Ok(OptionsOut { merge_options: ways.into_iter().map(MergeOption::as_str).collect(), ids: ids(&pair) })
}

#[derive(Serialize)]
struct Three<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<T>,
}

fn three<T>(conflict: &Conflict, of: impl Fn(&ConflictSide) -> Option<T>) -> Three<T> {
    let side = |side: &Option<ConflictSide>| side.as_ref().and_then(&of);
    Three { source: side(&conflict.source), destination: side(&conflict.destination), base: side(&conflict.base) }
}

#[derive(Serialize)]
struct Operations2 {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    file_path: String,
    file_sizes: Three<u64>,
    file_modes: Three<&'static str>,
    object_types: Three<&'static str>,
    number_of_conflicts: usize,
    is_binary_file: Three<bool>,
    content_conflict: bool,
    file_mode_conflict: bool,
    object_type_conflict: bool,
    merge_operations: Operations2,
}

fn metadata(conflict: &Conflict) -> Metadata {
    let operation = |operation: Option<Operation>| {
        operation.map(|operation| match operation {
            Operation::Add => "A",
            Operation::Modify => "M",
            Operation::Delete => "D",
        })
    };
    let is_file = |side: &ConflictSide| matches!(side.kind, SideKind::File | SideKind::Link);
    let is_conflict = conflict.n_conflicts > 0;
    Metadata {
        file_path: String::from_utf8_lossy(&conflict.path).into_owned(),
        file_sizes: three(conflict, |side| Some(side.size)),
        file_modes: three(conflict, |side| is_file(side).then(|| file_mode(side.mode))),
        object_types: three(conflict, |side| {
            Some(match side.kind {
                SideKind::File => "FILE",
                SideKind::Folder => "DIRECTORY",
                SideKind::Submodule => "GIT_LINK",
                SideKind::Link => "SYMBOLIC_LINK",
            })
        }),
        number_of_conflicts: conflict.n_conflicts,
        is_binary_file: three(conflict, |side| Some(side.is_binary)),
        content_conflict: is_conflict && conflict.is_of_content(),
        file_mode_conflict: is_conflict && conflict.is_of_mode(),
        object_type_conflict: is_conflict && conflict.is_of_kind(),
        merge_operations: Operations2 {
            source: operation(conflict.source_operation()),
            destination: operation(conflict.destination_operation()),
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConflictsOut {
    mergeable: bool,
    #[serde(flatten)]
    ids: Ids,
    conflict_metadata_list: Vec<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

fn asked_option(input: &Merge) -> Result<MergeOption, ApiError> {
    match input.merge_option.as_deref() {
        None | Some("") => Err(client("MergeOptionRequiredException", "mergeOption is required")),
        Some(given) => merge_option(given),
    }
}

fn limit(given: Option<i64>, code: &str, most: i64) -> Result<usize, ApiError> {
    match given {
        None => Ok(most as usize),
        Some(n) if (1..=most).contains(&n) => Ok(n as usize),
        Some(_) => Err(client(code, format!("a number between 1 and {most} is taken"))),
    }
}

fn token(given: Option<&str>) -> Result<usize, ApiError> {
    let from = page(given, None, 1, 1)?.from.unwrap_or(0);
    Ok(usize::try_from(from).unwrap_or(usize::MAX))
}

const MAX_FILES: i64 = 1000;
const MAX_HUNKS: i64 = 1000;

fn conflicts(call: &Call<'_>, input: Merge) -> Result<ConflictsOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let (source, destination) = input.specifiers()?;
    let option = asked_option(&input)?;
    let size = limit(input.max_conflict_files, "InvalidMaxConflictFilesException", MAX_FILES)?;
    let from = token(input.next_token.as_deref())?;
    if option == MergeOption::FastForwardMerge {
        let pair = call.host.merge_pair(&record, source, destination).map_err(|why| of_merge(call, why))?;
        let mergeable = pair.base == Some(pair.destination);
        return Ok(ConflictsOut { mergeable, ids: ids(&pair), conflict_metadata_list: Vec::new(), next_token: None });
    }
    let found = call.host.merge_conflicts(&record, source, destination, &input.how.options(None)?);
    let (pair, merged) = found.map_err(|why| of_merge(call, why))?;
    let next_token = (merged.conflicts.len() > from.saturating_add(size)).then(|| (from + size).to_string());
    Ok(ConflictsOut {
        mergeable: merged.tree.is_some(),
        ids: ids(&pair),
        conflict_metadata_list: merged.conflicts.iter().skip(from).take(size).map(metadata).collect(),
        next_token,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HunkDetail {
    start_line: usize,
    end_line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hunk_content: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HunkOut {
    is_conflict: bool,
    source: HunkDetail,
    destination: HunkDetail,
    base: HunkDetail,
}

fn hunk_out(hunk: MergeHunk) -> HunkOut {
    use base64::Engine;
    let detail = |lines: Lines| HunkDetail {
        start_line: lines.range.start + 1,
        // Of no lines the last one is before the first.
        end_line: lines.range.end,
        hunk_content: Some(base64::prelude::BASE64_STANDARD.encode(lines.content)),
    };
    HunkOut {
        is_conflict: hunk.is_conflict,
        source: detail(hunk.source),
        destination: detail(hunk.destination),
        base: detail(hunk.base),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeOut {
    conflict_metadata: Metadata,
    merge_hunks: Vec<HunkOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(flatten)]
    ids: Ids,
}

fn describe(call: &Call<'_>, input: Merge) -> Result<DescribeOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let (source, destination) = input.specifiers()?;
    asked_option(&input)?;
    let at = path(input.file_path.as_deref())?.trim_matches('/').to_owned();
    let size = limit(input.max_merge_hunks, "InvalidMaxMergeHunksException", MAX_HUNKS)?;
    let from = token(input.next_token.as_deref())?;
    let of = |why| of_merge(call, why);
    let (pair, merged) =
        call.host.merge_conflicts(&record, source, destination, &input.how.options(None)?).map_err(of)?;
    let conflict = match merged.conflicts.into_iter().find(|conflict| conflict.path == at.as_bytes()) {
        Some(conflict) => conflict,
        None => call.host.merge_file(&record, &pair, &at).map_err(of)?,
    };
    let hunks = call.host.merge_hunks(&record, &conflict).map_err(of)?;
    let next_token = (hunks.len() > from.saturating_add(size)).then(|| (from + size).to_string());
    Ok(DescribeOut {
        conflict_metadata: metadata(&conflict),
        merge_hunks: hunks.into_iter().skip(from).take(size).map(hunk_out).collect(),
        next_token,
        ids: ids(&pair),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConflictOut {
    conflict_metadata: Metadata,
    merge_hunks: Vec<HunkOut>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchProblem {
    file_path: String,
    exception_name: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchOut {
    conflicts: Vec<ConflictOut>,
    errors: Vec<BatchProblem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    #[serde(flatten)]
    ids: Ids,
}

const MAX_BATCH_FILES: i64 = 100;

/// Most bytes of lines on a page; the file with which they are reached is the page's last.
const MAX_BATCH_BYTES: usize = 8 << 20;

fn batch_describe(call: &Call<'_>, input: Merge) -> Result<BatchOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let (source, destination) = input.specifiers()?;
    asked_option(&input)?;
    let size = limit(input.max_conflict_files, "InvalidMaxConflictFilesException", MAX_BATCH_FILES)?;
    let n_hunks = limit(input.max_merge_hunks, "InvalidMaxMergeHunksException", MAX_HUNKS)?;
    let from = token(input.next_token.as_deref())?;
    let asked = input.file_paths.as_deref().unwrap_or_default();
    if asked.len() > MAX_BATCH_FILES as usize {
        let message = format!("up to {MAX_BATCH_FILES} paths are taken");
        return Err(client("MaximumItemsToCompareExceededException", message));
    }
    let of = |why| of_merge(call, why);
    let (pair, merged) =
        call.host.merge_conflicts(&record, source, destination, &input.how.options(None)?).map_err(of)?;
    let mut errors = Vec::new();
    let mut all = merged.conflicts;
    if !asked.is_empty() {
        for at in asked {
            if !all.iter().any(|conflict| conflict.path == at.trim_matches('/').as_bytes()) {
                let shown = escape_for_people(at.as_bytes(), 300);
                errors.push(BatchProblem {
                    file_path: at.clone(),
                    exception_name: "FileDoesNotExistException".to_owned(),
                    message: format!("`{shown}` is not in conflict"),
                });
            }
        }
        all.retain(|conflict| asked.iter().any(|at| at.trim_matches('/').as_bytes() == conflict.path));
    }
    let (mut conflicts, mut n_bytes) = (Vec::new(), 0);
    for conflict in all.iter().skip(from).take(size) {
        let mut hunks = call.host.merge_hunks(&record, conflict).map_err(of)?;
        hunks.truncate(n_hunks);
        let of_sides = |hunk: &MergeHunk| {
            [&hunk.base, &hunk.source, &hunk.destination].map(|lines| lines.content.len()).iter().sum::<usize>()
        };
        n_bytes += hunks.iter().map(of_sides).sum::<usize>();
        let merge_hunks = hunks.into_iter().map(hunk_out).collect();
        conflicts.push(ConflictOut { conflict_metadata: metadata(conflict), merge_hunks });
        // The rest comes with the next page.
        if n_bytes >= MAX_BATCH_BYTES {
            break;
        }
    }
    let next = from.saturating_add(conflicts.len());
    let next_token = (all.len() > next && !conflicts.is_empty()).then(|| next.to_string());
    Ok(BatchOut { conflicts, errors, next_token, ids: ids(&pair) })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MergeCommitOut {
    #[serde(flatten)]
    ids: Ids,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_commit_id: Option<String>,
}

fn merge_commit(call: &Call<'_>, input: Merge) -> Result<MergeCommitOut, ApiError> {
    let record = find(call, &input.repository_name)?;
    let (source, destination) = input.specifiers()?;
    input.how.options(None)?;
    let found = call.host.merge_commit_of(&record, source, destination);
    let (pair, commit) = found.map_err(|why| of_merge(call, why))?;
    Ok(MergeCommitOut { ids: ids(&pair), merged_commit_id: commit.map(|id| id.to_string()) })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    commit_id: String,
    tree_id: String,
}

impl From<MergedTo> for Made {
    fn from(made: MergedTo) -> Made {
        Made { commit_id: made.commit.to_string(), tree_id: made.tree.to_string() }
    }
}

/// The branch that a commit specifier names, if it names one: by its short or full name.
fn branch_of(given: &str) -> &str {
    given.strip_prefix("refs/heads/").unwrap_or(given)
}

/// The branch that is merged into: the target, or the destination if that names a branch.
fn of_target(call: &Call<'_>, input: &Merge) -> Result<RefFacts, ApiError> {
    let destination = specifier(&input.destination_commit_specifier, "destination")?;
    match input.target_branch.as_deref().filter(|name| !name.is_empty()) {
        Some(target) => of_branch(call, &input.repository_name, Some(target)),
        None if ObjectId::from_hex(destination.as_bytes()).is_ok() => {
            let message = "the destination is no branch: targetBranch says which one is merged into";
            Err(client("BranchNameRequiredException", message))
        }
        None => of_branch(call, &input.repository_name, Some(branch_of(destination))),
    }
}

/// No branch changes; it is asked of the one that the commit is meant for.
fn of_unreferenced(call: &Call<'_>, input: &Merge) -> Result<RefFacts, ApiError> {
    let destination = specifier(&input.destination_commit_specifier, "destination")?;
    match ObjectId::from_hex(destination.as_bytes()).is_ok() {
        true => {
            let record = find(call, &input.repository_name).ok();
            let default = record.map(|record| record.default_branch);
            let default = default.map_or_else(
                || "main".to_owned(),
                |name| String::from_utf8_lossy(name.as_bytes()).trim_start_matches("refs/heads/").to_owned(),
            );
            of_branch(call, &input.repository_name, Some(&default))
        }
        false => of_branch(call, &input.repository_name, Some(branch_of(destination))),
    }
}

fn unreferenced(call: &Call<'_>, action: &Action, mut input: Merge) -> Result<Made, ApiError> {
    let on = of_unreferenced(call, &input)?;
    // Nothing is changed by it that a later step would decide about: it is decided here, for good.
    call.permitted(action, &on)?;
    let record = find(call, &input.repository_name)?;
    let option = asked_option(&input)?;
    if option == MergeOption::FastForwardMerge {
        let message = "a fast-forward makes no commit: SQUASH_MERGE or THREE_WAY_MERGE";
        return Err(client("InvalidMergeOptionException", message));
    }
    let resolutions = input.how.resolutions()?;
    let request = request_of(option, &input.how, resolutions.as_ref())?;
    let (source, destination) = input.specifiers()?;
    let made = call.host.create_unreferenced_merge(call.ctx, &record, (source, destination), &on.name, &request);
    made.map(Made::from).map_err(|why| of_merge(call, why))
}

fn request_of<'a>(
    option: MergeOption,
    how: &How,
    resolutions: Option<&'a Resolutions>,
) -> Result<MergeRequest<'a>, ApiError> {
    let words = words(how.author_name.clone(), how.email.clone(), how.commit_message.clone())?;
    Ok(MergeRequest { option, options: how.options(resolutions)?, words })
}

fn branches(call: &Call<'_>, action: &Action, mut input: Merge, option: MergeOption) -> Result<Made, ApiError> {
    let record = find(call, &input.repository_name)?;
    let target = of_target(call, &input)?.name;
    let resolutions = input.how.resolutions()?;
    let request = request_of(option, &input.how, resolutions.as_ref())?;
    let pair = input.specifiers()?;
    let made = call.host.merge_branches(call.ctx, &record, action, pair, &target, &request);
    made.map(Made::from).map_err(|why| of_merge(call, why))
}

fn branches_fast_forward(call: &Call<'_>, action: &Action, input: Merge) -> Result<Made, ApiError> {
    branches(call, action, input, MergeOption::FastForwardMerge)
}

fn branches_squash(call: &Call<'_>, action: &Action, input: Merge) -> Result<Made, ApiError> {
    branches(call, action, input, MergeOption::SquashMerge)
}

fn branches_three_way(call: &Call<'_>, action: &Action, input: Merge) -> Result<Made, ApiError> {
    branches(call, action, input, MergeOption::ThreeWayMerge)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MergePull {
    #[serde(default)]
    pull_request_id: String,
    #[serde(default)]
    repository_name: String,
    source_commit_id: Option<String>,
    #[serde(flatten)]
    how: How,
}

/// The destination of the pull request; those who may not know of the repository are told that there is none.
fn of_pull(call: &Call<'_>, input: &MergePull) -> Result<RefFacts, ApiError> {
    let (record, number) = found(call, &input.pull_request_id)?;
    if !call.host.may_know(call.ctx, &super::of_record(&record)) {
        let shown = escape_for_people(input.pull_request_id.as_bytes(), 40);
        return Err(client("PullRequestDoesNotExistException", format!("there is no pull request {shown}")));
    }
    let shown = call.host.pull_request(&record, number).map_err(of_review)?;
    of_ref(call, record.name.as_str(), shown.pull_request.destination)
}

fn pull(call: &Call<'_>, action: &Action, mut input: MergePull, option: MergeOption) -> Result<One, ApiError> {
    let (record, number): (RepositoryRecord, u64) = found(call, &input.pull_request_id)?;
    if super::repository_name(&input.repository_name)? != record.name {
        return Err(of_merge(call, MergeFailure::OtherRepository));
    }
    let named = input.source_commit_id.as_deref().filter(|id| !id.is_empty());
    let named = named.map(|id| super::content::object_id(id, "Commit")).transpose()?;
    let resolutions = input.how.resolutions()?;
    let request = request_of(option, &input.how, resolutions.as_ref())?;
    let merged = call.host.merge_pull_request(call.ctx, &record, action, number, named.as_ref(), &request);
    merged.map(one).map_err(|why| of_merge(call, why))
}

fn pull_fast_forward(call: &Call<'_>, action: &Action, input: MergePull) -> Result<One, ApiError> {
    pull(call, action, input, MergeOption::FastForwardMerge)
}

fn pull_squash(call: &Call<'_>, action: &Action, input: MergePull) -> Result<One, ApiError> {
    pull(call, action, input, MergeOption::SquashMerge)
}

fn pull_three_way(call: &Call<'_>, action: &Action, input: MergePull) -> Result<One, ApiError> {
    pull(call, action, input, MergeOption::ThreeWayMerge)
}
