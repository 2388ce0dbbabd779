//! Whether the fragments of a call's arguments make a whole object by now.
//!
//! Serves the reader of streams: fragments of several calls may come in turns, and only a call that is whole can be closed for the
//! next one. Looks at quotes and braces only; that the text is JSON is for others to judge.

/// What is known of a text that comes in fragments, each as it stands between the quotes of a JSON string.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth {
    open: u32,
    begun: bool,
    in_string: bool,
    /// The letter before was a backslash of the text's own.
    escaped: bool,
}

impl Depth {
    /// The next fragment. No fragment ends inside an escape.
    pub(super) fn feed(&mut self, fragment: &[u8]) {
        let mut letters = fragment.iter().copied();
        while let Some(letter) = letters.next() {
            let letter = match letter {
                b'\\' => match letters.next() {
                    Some(b'u') => {
                        let digits = [letters.next(), letters.next(), letters.next(), letters.next()];
                        unit(digits)
                    }
                    // Quotes and backslashes stand for themselves; line breaks and the like decide nothing.
                    Some(escaped @ (b'"' | b'\\' | b'/')) => escaped,
                    _ => b' ',
                },
                plain => plain,
            };
            self.see(letter);
        }
    }

    /// An object began and all that was opened is closed.
    pub(super) fn is_whole(self) -> bool {
        self.begun && self.open == 0
    }

    fn see(&mut self, letter: u8) {
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if letter == b'\\' {
                self.escaped = true;
            } else if letter == b'"' {
                self.in_string = false;
            }
            return;
        }
        match letter {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.begun = true;
                self.open = self.open.saturating_add(1);
            }
            b'}' | b']' => self.open = self.open.saturating_sub(1),
            _ => {}
        }
    }
}

/// The letter of `\u0022`; one that decides nothing where it is not ASCII.
fn unit(digits: [Option<u8>; 4]) -> u8 {
    let value = digits.iter().try_fold(0_u32, |value, digit| {
        let digit = char::from((*digit)?).to_digit(16)?;
        Some(value * 16 + digit)
    });
    value.and_then(|value| u8::try_from(value).ok()).filter(u8::is_ascii).unwrap_or(b' ')
}
