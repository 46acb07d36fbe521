//! What people call things, the same on both sides of the wire.

/// What keys, people and organizations are called: 1 to 80 visible characters, outer white space removed. Errors: a
/// sentence that says what to do; `if_empty` where there is nothing.
pub fn line(text: &str, if_empty: &'static str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() {
        Err(if_empty)
    } else if text.chars().count() > 80 {
        Err("Use at most 80 characters.")
    } else if text.chars().any(is_invisible) {
        Err("Leave out line breaks and invisible characters.")
    } else {
        Ok(text.to_owned())
    }
}

/// Control characters, and the invisible ones that reorder or hide the text around them: a name is read by people who
/// decide by it which key to revoke.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
