//! Numbers as people read them.

use std::time::Duration;

/// Renders bytes with a binary unit: `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // Tenths, in whole numbers, so that nothing is rounded up to a unit that is not there.
    let mut tenths = u128::from(count) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or("");
    if tenths >= 1000 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// Renders a span by its largest unit: `12 min`.
pub(crate) fn seconds(count: u64) -> String {
    match count {
        0..=119 => format!("{count} s"),
        120..=7_199 => format!("{} min", count / 60),
        7_200..=172_799 => format!("{} h", count / 3_600),
        _ => format!("{} d", count / 86_400),
    }
}

/// Renders a short time in milliseconds: `4.2 ms`.
pub(crate) fn milliseconds(time: Duration) -> String {
    let tenths = time.as_micros() / 100;
    if tenths >= 1000 { format!("{} ms", tenths / 10) } else { format!("{}.{} ms", tenths / 10, tenths % 10) }
}

/// Groups the digits of a number: `65,536`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, grouped, milliseconds, seconds};

    #[test]
    fn numbers_keep_their_size() {
        assert_eq!(
            [0, 1023, 1024, 1536, 1 << 20, 512 << 20, 3 << 40].map(bytes).join(", "),
            "0 B, 1023 B, 1.0 KiB, 1.5 KiB, 1.0 MiB, 512 MiB, 3.0 TiB"
        );
        assert_eq!(bytes(u64::MAX), "16383 PiB");
        assert_eq!([0, 119, 120, 7_200, 172_800].map(seconds).join(", "), "0 s, 119 s, 2 min, 2 h, 2 d");
        assert_eq!([0, 1, 12, 123, 1234, 1_234_567].map(grouped).join(" "), "0 1 12 123 1,234 1,234,567");
        assert_eq!(milliseconds(Duration::from_micros(4_250)), "4.2 ms");
        assert_eq!(milliseconds(Duration::from_secs(2)), "2000 ms");
    }
}
