//! Text in a page: names and reasons come from programs and images, and must not act on whoever reads the page.

use std::fmt::{self, Display, Write};

/// Something whose text is shown as it is.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                control if control.is_control() => formatter.write_char('\u{fffd}')?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn nothing_of_a_text_is_markup() {
        let text = Escaped("<a href='x' id=\"y\">&\u{1b}").to_string();
        assert_eq!(text, "&lt;a href=&#39;x&#39; id=&quot;y&quot;&gt;&amp;\u{fffd}");
    }
}
