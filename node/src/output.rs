//! Printing results: tables for people, JSON for scripts, always the same facts.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table or lines for people.
    #[default]
    Table,
    /// One JSON document (or one per line for streams) on standard output.
    Json,
}

/// Prints to standard output and ends quietly when nobody reads it any more (`| head`).
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints a value as JSON: on one line when it is an event of a stream.
pub fn json<T: Serialize>(value: &T, event: bool) -> anyhow::Result<()> {
    let text =
        if event { serde_json::to_string(value)? } else { serde_json::to_string_pretty(value)? };
    line(&text);
    Ok(())
}

/// A table with a header row, as wide as the terminal allows.
#[must_use]
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.set_width(160);
    }
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    table
}

/// `0x` and the first eight digits, for tables; JSON always has the whole value.
#[must_use]
pub fn short(id: &str) -> String {
    let cut: String = id.chars().take(10).collect();
    if cut.len() < id.len() { format!("{cut}…") } else { cut }
}

/// Milliseconds as a person reads them.
#[must_use]
pub fn millis(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(millis(999), "999 ms");
        assert_eq!(millis(1_250), "1.2 s");
        assert_eq!(millis(125_000), "2 min 5 s");
    }

    #[test]
    fn ids_are_shortened_only_when_long() {
        assert_eq!(short("0x1234"), "0x1234");
        assert_eq!(short("0x12345678abcdef"), "0x12345678…");
    }
}
