//! Turns the words behind `--` into shell text that means exactly these words.

/// Words that the shell takes as syntax where a command is expected, unless they are quoted.
const RESERVED: [&str; 17] = [
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select",
    "then", "time", "until", "while",
];

/// Quotes every word and joins them with spaces.
pub(crate) fn join(words: &[String]) -> String {
    words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for POSIX shells; a word that means itself stays as it is, so that it is easy to read in a listing.
fn quote(word: &str) -> String {
    // No `=`: in front of a command it would make the word an assignment. No `~`: it would be expanded.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) && !RESERVED.contains(&word) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::join;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(join(&words(&["ls", "-la", "/tmp/a_b", "user@host:80"])), "ls -la /tmp/a_b user@host:80");
    }

    #[test]
    fn everything_else_is_quoted() {
        assert_eq!(join(&words(&["python3", "-c", "print(1)"])), "python3 -c 'print(1)'");
        assert_eq!(join(&words(&["echo", "", "it's", "a b"])), r"echo '' 'it'\''s' 'a b'");
        assert_eq!(join(&words(&["A=1", "~", "if"])), "'A=1' '~' 'if'");
    }

    #[test]
    fn a_shell_reads_the_words_back() {
        let given = words(&[
            "", " ", "a b", "it's", "\"", "$HOME", "`id`", "$(id)", "\\", "a\nb", "*", "~", "!x", "#",
            "\u{e9}\t", "'", "-n", "A=1", "{a,b}", ">", "&", ";", "|",
        ]);
        let text = format!("for w in {}; do printf '%s\\0' \"$w\"; done", join(&given));
        let output = Command::new("sh").arg("-c").arg(text).output().expect("a shell");
        let read = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(read.split_terminator('\0').collect::<Vec<_>>(), given);
    }
}
