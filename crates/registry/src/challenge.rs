//! What a registry wants to see before it answers: the header `WWW-Authenticate`.

/// A way to prove who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token that another address gives out.
    Bearer { realm: String, service: Option<String> },
    /// User and password, with each request.
    Basic,
}

/// Far more than any has. Each scheme costs a look at all that follows.
const LONGEST_HEADER: usize = 8 * 1024;

/// Reads all challenges of one header. What is malformed ends the reading; other schemes are left out, and so is a header
/// that is too long.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    if header.len() > LONGEST_HEADER {
        return challenges;
    }
    let mut rest = header.trim_start();
    while !rest.is_empty() {
        let (scheme, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
        let (found, after) = parameters_of(parameters);
        let value = |name: &str| {
            found.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            if let Some(realm) = value("realm") {
                challenges.push(Challenge::Bearer { realm, service: value("service") });
            }
        } else if scheme.trim_end_matches(',').eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        }
        // Each turn takes a scheme away at least.
        rest = after.trim_start_matches([',', ' ']);
    }
    challenges
}

/// Reads `name=value` pairs up to what is no such pair, which is the next scheme.
fn parameters_of(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut parameters = Vec::new();
    loop {
        let pair = rest.trim_start_matches([',', ' ']);
        let Some((name, value)) = pair.split_once('=') else { return (parameters, pair) };
        let name = name.trim_end();
        if name.contains([' ', ',']) {
            return (parameters, pair);
        }
        let Some((value, after)) = value_of(value.trim_start()) else { return (parameters, "") };
        parameters.push((name.to_owned(), value));
        rest = after;
    }
}

fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return Some((value.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Challenge, parse};

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) }
    }

    #[test]
    fn the_forms_that_registries_send_are_read() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://a.example/token",service="r",scope="repository:x:pull,push""#,
                vec![bearer("https://a.example/token", Some("r"))],
            ),
            (r#"bearer Realm = "https://a" , service=plain"#, vec![bearer("https://a", Some("plain"))]),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                r#"Basic realm="x, Bearer realm=y", Bearer realm="https://a""#,
                vec![Challenge::Basic, bearer("https://a", None)],
            ),
            (r#"Negotiate, Basic realm="a\"b""#, vec![Challenge::Basic]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn malformed_ones_give_nothing_and_end() {
        for header in [
            "",
            " ",
            ",",
            "Bearer",
            "Bearer realm",
            r#"Bearer realm="open"#,
            "=",
            "= = =",
            "Bearer service=x",
        ] {
            assert_eq!(parse(header), [], "{header}");
        }
        assert_eq!(parse(&("a ".repeat(4000) + "Basic")), [Challenge::Basic]);
        assert_eq!(parse(&("a ".repeat(5000) + "Basic")), []);
        assert_eq!(parse(&"a=\"".repeat(2000)), []);
    }
}
