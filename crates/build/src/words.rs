//! Words, quotes and variables, as Docker has them: like a shell's, but not quite.

use crate::problem::Problem;

/// `${A:-${B:-…}}` goes no deeper.
const DEEPEST: usize = 32;

/// Splits a text into words at white space that is neither quoted nor escaped. Quotes and escapes stay in the words.
pub(crate) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_default();
        current.push(character);
        if character == escape && quote != Some('\'') {
            current.extend(characters.next());
        } else if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '"' | '\'') {
            quote = Some(character);
        }
    }
    words.extend(word);
    words
}

/// Takes quotes and escapes away and puts the values of variables in their places. A variable that `value` does not know is
/// empty.
///
/// # Errors
/// A quote or a brace without its end, and a form of substitution that there is not.
pub(crate) fn expand(
    word: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Problem> {
    let mut expansion =
        Expansion { word, characters: word.chars().peekable(), escape, value, depth: 0, quoting: true };
    expansion.until(None)
}

/// As [`expand`], for the text of a here-document, in which quotes mean nothing.
pub(crate) fn expand_text(
    text: &str,
    escape: char,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Problem> {
    let mut expansion = Expansion {
        word: text,
        characters: text.chars().peekable(),
        escape,
        value,
        depth: 0,
        quoting: false,
    };
    expansion.until(None)
}

/// Finds what is wrong with a word without knowing any variable.
pub(crate) fn check(word: &str, escape: char) -> Result<(), Problem> {
    // Every variable has a value here, so that only the form of the word counts.
    expand(word, escape, &|_| Some("x".to_owned())).map(drop)
}

struct Expansion<'a> {
    word: &'a str,
    characters: std::iter::Peekable<std::str::Chars<'a>>,
    escape: char,
    value: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
    quoting: bool,
}

impl Expansion<'_> {
    /// Goes on until `end`, which is taken, or to the end of the word where there is none.
    fn until(&mut self, end: Option<char>) -> Result<String, Problem> {
        let mut result = String::new();
        while let Some(character) = self.characters.next() {
            if Some(character) == end {
                return Ok(result);
            }
            match character {
                '\'' if self.quoting => self.single_quoted(&mut result)?,
                '"' if self.quoting => self.double_quoted(&mut result)?,
                '$' => result.push_str(&self.variable()?),
                _ if character == self.escape => self.escaped(&mut result),
                _ => result.push(character),
            }
        }
        if end.is_some() { Err(self.bad()) } else { Ok(result) }
    }

    fn escaped(&mut self, result: &mut String) {
        if self.quoting {
            // One at the very end stands for itself.
            result.push(self.characters.next().unwrap_or(self.escape));
            return;
        }
        match self.characters.next_if(|next| matches!(next, '$') || *next == self.escape) {
            Some(next) => result.push(next),
            None => result.push(self.escape),
        }
    }

    fn single_quoted(&mut self, result: &mut String) -> Result<(), Problem> {
        for character in self.characters.by_ref() {
            if character == '\'' {
                return Ok(());
            }
            result.push(character);
        }
        Err(self.unended())
    }

    fn double_quoted(&mut self, result: &mut String) -> Result<(), Problem> {
        while let Some(character) = self.characters.next() {
            match character {
                '"' => return Ok(()),
                '$' => result.push_str(&self.variable()?),
                _ if character == self.escape => {
                    let escape = self.escape;
                    match self.characters.next_if(|next| matches!(next, '"' | '$') || *next == escape) {
                        Some(next) => result.push(next),
                        None => result.push(escape),
                    }
                }
                _ => result.push(character),
            }
        }
        Err(self.unended())
    }

    /// What stands behind a `$`.
    fn variable(&mut self) -> Result<String, Problem> {
        if self.characters.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        Ok(if name.is_empty() { "$".to_owned() } else { (self.value)(&name).unwrap_or_default() })
    }

    fn braced(&mut self) -> Result<String, Problem> {
        let name = self.name();
        if name.is_empty() {
            return Err(self.bad());
        }
        let value = (self.value)(&name);
        let (empty_counts, operator) = match self.characters.next() {
            Some('}') => return Ok(value.unwrap_or_default()),
            Some(':') => (true, self.characters.next()),
            other => (false, other),
        };
        let is_set = value.as_ref().is_some_and(|value| !empty_counts || !value.is_empty());
        match operator {
            Some(operator @ ('-' | '+' | '?')) => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(self.bad());
                }
                let alternative = self.until(Some('}'))?;
                self.depth -= 1;
                match (operator, is_set) {
                    ('-', false) | ('+', true) => Ok(alternative),
                    ('+', false) => Ok(String::new()),
                    ('?', false) => Err(Problem::Unset { name, reason: alternative }),
                    _ => Ok(value.unwrap_or_default()),
                }
            }
            Some(operator @ ('#' | '%' | '/')) => Err(Problem::unsupported(
                format!("${{{name}{operator}…}}"),
                "compute the value in a RUN, or write it out",
            )),
            _ => Err(self.bad()),
        }
    }

    /// A name, or one of the names that a shell has for its own.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(character) = self.characters.peek().copied() {
            let first = name.is_empty();
            match character {
                '0'..='9' if first => {
                    while let Some(digit) = self.characters.next_if(char::is_ascii_digit) {
                        name.push(digit);
                    }
                    return name;
                }
                '@' | '*' | '#' | '?' | '-' | '$' | '!' if first => {
                    self.characters.next();
                    return character.to_string();
                }
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => name.push(character),
                _ => return name,
            }
            self.characters.next();
        }
        name
    }

    fn bad(&self) -> Problem {
        Problem::BadSubstitution { word: self.word.chars().take(200).collect() }
    }

    fn unended(&self) -> Problem {
        Problem::UnendedQuote { word: self.word.chars().take(200).collect() }
    }
}
