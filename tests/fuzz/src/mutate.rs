//! Changes to an input: blind ones to bytes, and ones that know JSON, lines and protobuf.

use serde_json::{Value, json};

/// A small generator with a period of 2^64 (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % (bound.max(1) as u64)) as usize
    }

    /// One of `all`, which is not empty.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What an input is, so that a change can keep its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Anything.
    Bytes,
    /// Lines of text.
    Lines,
    /// A JSON document.
    Json,
    /// A protobuf message.
    Proto,
}

/// Longest input that changes make of a shorter one.
const GROWN_BYTES_MAX: usize = 4 << 10;
/// Numbers at which lengths, counts and codes tend to break.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 32,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];
const TOKENS: [&str; 14] = [
    "0x", "0X", "-1", "1e999", "\"", "\\u0000", "\n", "\r\n", " ", "{", "]", "null", "\u{fe0f}",
    ",",
];

/// One to four changes to `input`; `other` gives bytes for splices.
#[must_use]
pub fn change(random: &mut Random, shape: Shape, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let keeps_form = random.below(2) == 0;
        match shape {
            Shape::Json if keeps_form => json_change(random, &mut bytes),
            Shape::Proto if keeps_form => proto_change(random, &mut bytes, 0),
            Shape::Lines if keeps_form => line_change(random, &mut bytes),
            _ => byte_change(random, shape, &mut bytes, other),
        }
    }
    bytes.truncate(input.len().max(other.len()) + GROWN_BYTES_MAX);
    bytes
}

fn byte_change(random: &mut Random, shape: Shape, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let until = (at + 1 + random.below(48)).min(bytes.len());
    match random.below(10) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 => overwrite_number(random, bytes, at),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..until.max(at))),
        6 => {
            let copy = bytes[at..until.max(at)].to_vec();
            drop(bytes.splice(at..at, copy));
        }
        7 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.below(200)).min(other.len());
            drop(bytes.splice(at..until.max(at), other[from..to].iter().copied()));
        }
        8 if shape != Shape::Bytes => {
            let token = random.pick(&TOKENS).as_bytes();
            drop(bytes.splice(at..at, token.iter().copied()));
        }
        8 => bytes[at..until.max(at)].fill(*random.pick(&[0, 0xff])),
        _ => {
            let fresh: Vec<u8> = (0..random.below(9)).map(|_| random.next() as u8).collect();
            drop(bytes.splice(at..at, fresh));
        }
    }
}

/// A number of 1, 2, 4 or 8 bytes in either order, interesting or near what was there.
fn overwrite_number(random: &mut Random, bytes: &mut [u8], at: usize) {
    let width = 1 << random.below(4);
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let mut old = [0u8; 8];
    old[8 - width..].copy_from_slice(place);
    let near = u64::from_be_bytes(old).wrapping_add(random.below(5) as u64).wrapping_sub(2);
    let number = if random.below(2) == 0 { near } else { *random.pick(&NUMBERS) };
    match random.below(2) {
        0 => place.copy_from_slice(&number.to_be_bytes()[8 - width..]),
        _ => place.copy_from_slice(&number.to_le_bytes()[..width]),
    }
}

fn line_change(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (at, from) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(5) {
        0 => lines.swap(at, from),
        1 => lines.insert(at, lines[from].clone()),
        2 => drop(lines.remove(at)),
        3 => lines[at] = random.pick(&NUMBERS).to_string().into_bytes(),
        _ => {
            let tail = lines[from].clone();
            lines[at].extend(tail);
        }
    }
    *bytes = lines.join(&b'\n');
}

fn json_change(random: &mut Random, bytes: &mut Vec<u8>) {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
    let mut places = Vec::new();
    pointers(&value, String::new(), &mut places);
    let place = random.pick(&places).clone();
    let donor = places[random.below(places.len())].as_str();
    let donor = value.pointer(donor).cloned().unwrap_or(Value::Null);
    let Some(node) = value.pointer_mut(&place) else { return };
    match (random.below(6), &mut *node) {
        (0, Value::Array(items)) => {
            let copies = 1 + random.below(3);
            items.extend(std::iter::repeat_n(donor, copies));
        }
        (0 | 1, Value::Object(fields)) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            if let Some(name) = names.get(random.below(names.len())) {
                fields.remove(name);
            }
        }
        (1, Value::Array(items)) => drop(items.pop()),
        (2, Value::Object(fields)) => drop(fields.insert("unheard".into(), donor)),
        (3, node) => *node = donor,
        (4, node) => *node = json!(*random.pick(&NUMBERS)),
        (5, Value::String(text)) => {
            let mut inner = std::mem::take(text).into_bytes();
            byte_change(random, Shape::Lines, &mut inner, b"0x00ff");
            *text = String::from_utf8_lossy(&inner).into_owned();
        }
        (_, node) => *node = json!(random.pick(&TOKENS)),
    }
    *bytes = value.to_string().into_bytes();
}

fn pointers(value: &Value, here: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| pointers(field, format!("{here}/{name}"), all));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(at, item)| pointers(item, format!("{here}/{at}"), all));
        }
        _ => {}
    }
    all.push(here);
}

/// One field of a protobuf message: its key and where its bytes are.
struct Field {
    number: u64,
    start: usize,
    value: usize,
    end: usize,
    is_nested: bool,
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn fields(bytes: &[u8]) -> Option<Vec<Field>> {
    let (mut at, mut all) = (0, Vec::new());
    while at < bytes.len() {
        let start = at;
        let key = varint(bytes, &mut at)?;
        let (value, end) = match key & 7 {
            0 => (at, varint(bytes, &mut at).map(|_| at)?),
            1 => (at, at + 8),
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                (at, at.checked_add(length)?)
            }
            5 => (at, at + 4),
            _ => return None,
        };
        at = end;
        bytes.get(start..end)?;
        all.push(Field { number: key >> 3, start, value, end, is_nested: key & 7 == 2 });
    }
    Some(all)
}

/// Messages nest at most this deep in what this changes.
const PROTO_DEPTH_MAX: u32 = 6;

/// Drops, repeats, renumbers or changes one field and mends the lengths around it.
fn proto_change(random: &mut Random, bytes: &mut Vec<u8>, depth: u32) {
    let Some(all) = fields(bytes).filter(|all| !all.is_empty()) else { return };
    let field = random.pick(&all);
    let whole = bytes[field.start..field.end].to_vec();
    let inner = bytes[field.value..field.end].to_vec();
    let replacement = match random.below(8) {
        0 => Vec::new(),
        1 => [whole.clone(), whole].concat(),
        2 => {
            let number = 1 + random.below(20) as u64;
            let mut out = Vec::new();
            put_varint(number << 3 | if field.is_nested { 2 } else { 0 }, &mut out);
            out.extend(&bytes[field.start + out.len().min(field.value - field.start)..field.end]);
            out
        }
        3..=5 if field.is_nested => {
            let mut inner = inner;
            if depth < PROTO_DEPTH_MAX && fields(&inner).is_some_and(|all| !all.is_empty()) {
                proto_change(random, &mut inner, depth + 1);
            } else {
                byte_change(random, Shape::Bytes, &mut inner, b"");
            }
            delimited(field.number, &inner)
        }
        6 => delimited(field.number, &vec![0; random.below(70)]),
        _ => {
            let mut out = Vec::new();
            put_varint(field.number << 3, &mut out);
            put_varint(*random.pick(&NUMBERS), &mut out);
            out
        }
    };
    drop(bytes.splice(field.start..field.end, replacement));
}

fn delimited(number: u64, inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(number << 3 | 2, &mut out);
    put_varint(inner.len() as u64, &mut out);
    out.extend_from_slice(inner);
    out
}
