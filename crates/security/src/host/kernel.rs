//! The age of the kernel: its faults are the way out of every sandbox, and they become known with time.

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

use crate::{Finding, Part, Verdict};

const NAME: &str = "kernel age";
/// Days after which a kernel has missed several rounds of fixes.
const OLD: i32 = 180;
const ADVICE: &str = "install the newest kernel of the distribution and boot it";

pub(super) fn age() -> Finding {
    let system = rustix::system::uname();
    let version = system.version().to_string_lossy();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    judge(&version, today)
}

fn judge(version: &str, today: Date) -> Finding {
    let Some(built) = build_date(version) else {
        let detail = format!("{version:?} does not say when it was built");
        return Finding::new(Part::Host, "host", NAME, Verdict::Skip, detail, "");
    };
    let days = today.since(built).map_or(0, |span| span.get_days());
    let detail = format!("built on {built}, {days} days ago");
    if days > OLD {
        Finding::warn(Part::Host, "host", NAME, detail, ADVICE)
    } else {
        Finding::ok(Part::Host, "host", NAME, detail)
    }
}

/// Finds the date in what uname(2) calls the version: `#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)`, or
/// `#1 SMP Tue Nov 18 12:00:00 UTC 2025`.
fn build_date(version: &str) -> Option<Date> {
    let words: Vec<&str> = version.split(|c: char| c.is_whitespace() || c == '(' || c == ')').collect();
    let iso = words.iter().find_map(|word| word.parse::<Date>().ok());
    iso.or_else(|| {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let words: Vec<&str> = version.split_whitespace().collect();
        let place = words.iter().position(|word| MONTHS.contains(word))?;
        let month = MONTHS.iter().position(|month| Some(month) == words.get(place))? + 1;
        let day = words.get(place + 1)?.parse().ok()?;
        let year = words.last()?.parse().ok()?;
        Date::new(year, i8::try_from(month).ok()?, day).ok()
    })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{build_date, judge};
    use crate::Verdict;

    #[test]
    fn both_ways_to_write_a_build_date_are_read() {
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)";
        assert_eq!(build_date(debian), Some(date(2024, 2, 1)));
        let own = "#1 SMP PREEMPT_DYNAMIC Tue Nov  8 12:00:00 UTC 2025";
        assert_eq!(build_date(own), Some(date(2025, 11, 8)));
        assert_eq!(build_date("#1 SMP"), None);
    }

    #[test]
    fn an_old_kernel_is_warned_of() {
        let version = "#1 SMP Debian (2024-02-01)";
        assert_eq!(judge(version, date(2024, 3, 1)).verdict, Verdict::Ok);
        assert_eq!(judge(version, date(2025, 3, 1)).verdict, Verdict::Warn);
    }
}
