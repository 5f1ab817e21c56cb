//! The input: one message per line, in hexadecimal.
//!
//! Lines end with `\n` or `\r\n`. Upper and lower case are accepted, a `0x` prefix too. An empty
//! line, or `0x` alone, is the empty message. A final line end closes the last line and adds no
//! message. Everything else is refused with the line number.

use proofgrid_core::limits::INPUT_BYTES_MAX;
use proofgrid_proofs::program::InputError;

/// Parses the messages of an input, in order.
///
/// # Errors
/// [`InputError`] with the first line that cannot be read; an input without any line; an input
/// beyond the network's limit.
pub fn parse(input: &[u8]) -> Result<Vec<Vec<u8>>, InputError> {
    if input.len() as u64 > INPUT_BYTES_MAX {
        return Err(InputError::TooLong { got: input.len() as u64, max: INPUT_BYTES_MAX });
    }
    let body = input.strip_suffix(b"\n").unwrap_or(input);
    if input.is_empty() {
        return Err(InputError::Empty { items: "messages" });
    }
    body.split(|byte| *byte == b'\n').enumerate().map(|(line, text)| message(line, text)).collect()
}

fn message(line: usize, text: &[u8]) -> Result<Vec<u8>, InputError> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    hex::decode(digits).map_err(|error| InputError::Line {
        line: line as u64 + 1,
        problem: match error {
            hex::FromHexError::OddLength => {
                format!("{} hexadecimal digits, two are one byte; one is missing", digits.len())
            }
            hex::FromHexError::InvalidHexCharacter { c, index } => {
                format!("{c:?} at digit {} is not hexadecimal (0-9, a-f)", index + 1)
            }
            hex::FromHexError::InvalidStringLength => "the length does not fit".into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages() {
        let cases: [(&[u8], Vec<Vec<u8>>); 8] = [
            (b"00ff\n", vec![vec![0, 255]]),
            (b"00ff", vec![vec![0, 255]]),
            (b"0x00FF\r\n01\r\n", vec![vec![0, 255], vec![1]]),
            (b"\n", vec![vec![]]),
            (b"0x\n", vec![vec![]]),
            (b"01\n\n02\n", vec![vec![1], vec![], vec![2]]),
            (b"01\n\n", vec![vec![1], vec![]]),
            (b"01\n01\n", vec![vec![1], vec![1]]),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(input), Ok(expected), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn errors_name_the_line() {
        let cases: [(&[u8], u64, &str); 5] = [
            (b"00\n0\n", 2, "one is missing"),
            (b"zz\n", 1, "'z' at digit 1"),
            (b"00\n00\n0g\n", 3, "'g' at digit 2"),
            (b"00 \n", 1, "one is missing"),
            (b"00\xff\xff\n", 1, "not hexadecimal"),
        ];
        for (input, expected_line, expected_problem) in cases {
            match parse(input) {
                Err(InputError::Line { line, problem }) => {
                    assert_eq!(line, expected_line);
                    assert!(problem.contains(expected_problem), "{problem}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(parse(b""), Err(InputError::Empty { items: "messages" }));
    }
}
