//! Who may do what, as lists and tables. Pure: each cell is one decision.

use super::compile::CompiledPolicies;
use super::decide::{Decision, DecisionRequest};
use super::entities::PrincipalFacts;

/// Decides `question` for each principal in turn, its own principal left aside.
pub fn who_can<'p>(
    policies: &CompiledPolicies,
    question: &DecisionRequest<'_>,
    principals: impl IntoIterator<Item = &'p PrincipalFacts>,
) -> Vec<(&'p PrincipalFacts, Decision)> {
    let decide = |principal: &'p PrincipalFacts| {
        let request = DecisionRequest {
            id: question.id,
            principal,
            action: question.action,
            resource: question.resource,
            request: question.request,
            context: question.context,
            extra_context: question.extra_context,
            session_policy: None,
        };
        (principal, policies.decide(&request))
    };
    principals.into_iter().map(decide).collect()
}

/// A table of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The principals, as the columns are headed.
    pub columns: Vec<String>,
    /// The questions, as the rows are headed, and their answers: none where it is allowed, else the refusal.
    pub rows: Vec<(String, Vec<Option<String>>)>,
}

/// Decides each question for each principal. Questions come with the words that head their row.
pub fn matrix(
    policies: &CompiledPolicies,
    questions: &[(String, DecisionRequest<'_>)],
    principals: &[(String, &PrincipalFacts)],
) -> Matrix {
    let rows = questions.iter().map(|(words, question)| {
        let answers = who_can(policies, question, principals.iter().map(|(_, principal)| *principal));
        let cells = answers.iter().map(|(_, decision)| (!decision.allowed).then(|| decision.refusal_line())).collect();
        (words.clone(), cells)
    });
    Matrix { columns: principals.iter().map(|(words, _)| words.clone()).collect(), rows: rows.collect() }
}

impl Matrix {
    /// The table as text: `yes`, `-` where no policy permits, or the policy that denies.
    pub fn text(&self) -> String {
        let cell = |answer: &Option<String>| match answer {
            None => "yes".to_owned(),
            Some(refusal) => match refusal.strip_prefix("denied by policy ") {
                Some(policy) => policy.to_owned(),
                None => "-".to_owned(),
            },
        };
        let mut lines: Vec<Vec<String>> = vec![[String::new()].into_iter().chain(self.columns.clone()).collect()];
        for (words, answers) in &self.rows {
            lines.push([words.clone()].into_iter().chain(answers.iter().map(cell)).collect());
        }
        let widths: Vec<usize> = (0..=self.columns.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut out = String::new();
        for line in lines {
            let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }
}
