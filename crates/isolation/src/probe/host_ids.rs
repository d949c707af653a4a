//! The host ids of sessions: whether something else of this host uses them.

use std::fs;
use std::ops::RangeInclusive;

use super::Feature;
use super::check::{Check, Finding, Need};
use crate::plan::{FIRST_HOST_ID, RANGE_IDS, RANGES};

const HOST_IDS: Check = Check {
    name: "host ids",
    need: Need::Required,
    why: "ids of sessions that belong to no account and no container of the host",
    advice: "give the accounts and ranges named other ids; ids from LDAP or SSSD are not seen here and must not \
             overlap either",
};

/// A file with ids in it, and how it writes them.
type Source = (&'static str, fn(&str) -> Vec<Taken>);

const SOURCES: [Source; 4] = [
    ("/etc/passwd", |text| accounts(text, &[2, 3])),
    ("/etc/group", |text| accounts(text, &[2])),
    ("/etc/subuid", subordinates),
    ("/etc/subgid", subordinates),
];

/// At most so many overlaps are named.
const NAMED: usize = 3;

/// Ids that something of the host has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    owner: String,
    ids: RangeInclusive<u64>,
}

pub(super) fn features() -> Vec<Feature> {
    let overlaps = SOURCES.iter().flat_map(|(file, parse)| {
        // A host without the file has no such ids.
        let taken = parse(&fs::read_to_string(file).unwrap_or_default());
        taken.into_iter().filter(overlaps_ours).map(move |taken| describe(file, &taken))
    });
    vec![HOST_IDS.found(judge(&overlaps.collect::<Vec<_>>()))]
}

/// Every id that sessions may get.
fn ours() -> RangeInclusive<u64> {
    let first = u64::from(FIRST_HOST_ID);
    first..=first + u64::from(RANGES) * u64::from(RANGE_IDS) - 1
}

fn overlaps_ours(taken: &Taken) -> bool {
    taken.ids.start() <= ours().end() && ours().start() <= taken.ids.end()
}

/// Reads the ids in the given fields of passwd(5) or group(5).
fn accounts(text: &str, fields: &[usize]) -> Vec<Taken> {
    let account = |line: &str| {
        let parts: Vec<&str> = line.split(':').collect();
        let owner = parts.first().copied().unwrap_or_default().to_owned();
        let ids = fields.iter().filter_map(|field| parts.get(*field)?.parse::<u64>().ok());
        ids.map(|id| Taken { owner: owner.clone(), ids: id..=id }).collect::<Vec<_>>()
    };
    text.lines().flat_map(account).collect()
}

/// Reads the ranges of subuid(5) or subgid(5).
fn subordinates(text: &str) -> Vec<Taken> {
    let range = |line: &str| {
        let mut parts = line.split(':');
        let owner = parts.next()?.to_owned();
        let first: u64 = parts.next()?.trim().parse().ok()?;
        let count: u64 = parts.next()?.trim().parse().ok()?;
        (count > 0).then(|| Taken { owner, ids: first..=first.saturating_add(count - 1) })
    };
    text.lines().filter_map(range).collect()
}

fn describe(file: &str, taken: &Taken) -> String {
    let (first, last) = (taken.ids.start(), taken.ids.end());
    let ids = if first == last { first.to_string() } else { format!("{first} to {last}") };
    format!("{ids} of {} in {file}", taken.owner)
}

fn judge(overlaps: &[String]) -> Finding {
    let named: Vec<&str> = overlaps.iter().take(NAMED).map(String::as_str).collect();
    let more = overlaps.len().saturating_sub(NAMED);
    match (overlaps.len(), more) {
        (0, _) => Ok(format!("{} to {} are free", ours().start(), ours().end())),
        (_, 0) => Err(format!("taken: {}", named.join(", "))),
        _ => Err(format!("taken: {}, and {more} more", named.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Taken, accounts, judge, ours, overlaps_ours, subordinates};
    use crate::plan::FIRST_HOST_ID;

    fn taken(owner: &str, first: u64, last: u64) -> Taken {
        Taken { owner: owner.into(), ids: first..=last }
    }

    #[test]
    fn accounts_have_a_user_and_a_group_id() {
        let text = "root:x:0:0:root:/root:/bin/bash\n+::::::\nann:x:1000:1001::/:/bin/sh\n";
        assert_eq!(
            accounts(text, &[2, 3]),
            [taken("root", 0, 0), taken("root", 0, 0), taken("ann", 1000, 1000), taken("ann", 1001, 1001)]
        );
    }

    #[test]
    fn ranges_have_a_first_id_and_a_count() {
        let text = "ann:100000:65536\nbob:5:0\nnonsense\n";
        assert_eq!(subordinates(text), [taken("ann", 100_000, 165_535)]);
        let endless = subordinates("x:18446744073709551615:18446744073709551615");
        assert_eq!(endless, [taken("x", u64::MAX, u64::MAX)]);
    }

    #[test]
    fn only_what_touches_the_ids_of_sessions_overlaps() {
        let (first, last) = (u64::from(FIRST_HOST_ID), *ours().end());
        assert!(!overlaps_ours(&taken("below", 0, first - 1)));
        assert!(overlaps_ours(&taken("start", 0, first)));
        assert!(overlaps_ours(&taken("inside", first + 7, first + 7)));
        assert!(overlaps_ours(&taken("around", 0, u64::MAX)));
        assert!(overlaps_ours(&taken("end", last, last)));
        assert!(!overlaps_ours(&taken("above", last + 1, u64::MAX)));
    }

    #[test]
    fn a_few_overlaps_are_named_and_the_rest_counted() {
        let overlaps = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(judge(&overlaps), Err("taken: a, b, c, and 2 more".into()));
        assert_eq!(judge(&overlaps[..1]), Err("taken: a".into()));
        assert!(judge(&[]).is_ok());
    }
}
