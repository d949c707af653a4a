//! What a shell says of the command that it has carried out.

/// What a shell said on its report socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Which command it is about.
    pub(crate) nonce: u64,
    /// Its exit status.
    pub(crate) status: i32,
}

impl Report {
    /// Finds it, alone or as a word of what a shell says of it.
    pub(crate) fn find_in(bytes: &[u8]) -> Option<Self> {
        bytes.split(u8::is_ascii_whitespace).find_map(|word| {
            let (nonce, status) = std::str::from_utf8(word).ok()?.trim_end_matches(':').split_once(':')?;
            Some(Self { nonce: nonce.parse().ok()?, status: status.parse().ok()? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn two_numbers_are_a_report_alone_or_in_what_a_shell_says_of_them() {
        for text in [
            "7:255",
            "bash: ((: 7:255 : syntax error in expression (error token is \":255 \")",
            "sh: 3: shift: Illegal number: 7:255\n",
            "sh: line 3: shift: 7:255: numeric argument required",
        ] {
            assert_eq!(Report::find_in(text.as_bytes()), Some(Report { nonce: 7, status: 255 }), "{text}");
        }
        for junk in
            [&b""[..], b":", b"7", b"7:", b"7:1:2", b"a:b", b"\xff:1", b"sh: 3: shift: Illegal number: 7:"]
        {
            assert_eq!(Report::find_in(junk), None, "{junk:?}");
        }
    }
}
