//! The table of refused calls as Markdown, for the documentation.

use super::rule::{Entry, Rule};
use super::table::entries;

/// Renders the table of refused calls, sorted by profile and name.
///
/// The table is that of the architecture this program is built for.
#[must_use]
pub fn markdown_table() -> String {
    let mut rows: Vec<&Entry> = entries().collect();
    rows.sort_by_key(|entry| (entry.from, entry.name));
    let header = "| Call | From profile | Answer | Why | Missed by |\n|---|---|---|---|---|\n";
    rows.into_iter().fold(header.to_owned(), |table, entry| table + &row(entry))
}

fn row(entry: &Entry) -> String {
    let Entry { name, from, reason, missed_by, rule, .. } = entry;
    format!("| `{name}` | {from} | {} | {reason} | {missed_by} |\n", answer(rule))
}

fn answer(rule: &Rule) -> String {
    match rule {
        Rule::Deny => "`EPERM`".to_owned(),
        Rule::Absent => "`ENOSYS`".to_owned(),
        Rule::DenyIf(clauses) => {
            let meanings: Vec<_> = clauses.iter().map(|clause| clause.meaning).collect();
            format!("`EPERM` for {}", meanings.join("; for "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_one_row_of_five_cells() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), 2 + entries().count());
        assert!(table.lines().all(|line| line.matches('|').count() == 6), "{table}");
    }
}
