//! Damage to a body: fields that are missing, duplicate, of another type, too many or too deep; unusual numbers and texts; and bytes
//! that are not JSON.

use proptest::{prelude::*, sample::Index};
use serde_json::{Map, Value, json};

/// JSON that a [`Value`] cannot hold. It replaces the text that names it.
const RAW: [(&str, &str); 6] = [
    ("@too-large@", "1e400"),
    ("@lone-surrogate@", r#""\ud800""#),
    ("@half-pair@", r#""\udc00\ud800x""#),
    ("@long-number@", "123456789012345678901234567890"),
    ("@negative-zero@", "-0"),
    ("@bad-escape@", r#""\x41""#),
];

/// One kind of damage.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// Another value replaces a value.
    Replace(Index, Value),
    /// A member is missing.
    Remove(Index),
    /// A member is added.
    Add(Index, String, Value),
    /// An array gets this many elements.
    Repeat(Index, usize),
    /// A value is wrapped in this many arrays.
    Nest(Index, usize),
    /// A member of the body is duplicate.
    Double(Index),
    /// The text ends early.
    Cut(Index),
    /// Bytes of the text are replaced.
    Splice(Index, Vec<u8>),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        6 => (at(), odd()).prop_map(|(at, value)| Damage::Replace(at, value)),
        2 => at().prop_map(Damage::Remove),
        1 => (at(), odd_text(), odd()).prop_map(|(at, key, value)| Damage::Add(at, key, value)),
        1 => (at(), 100_usize..2_000).prop_map(|(at, times)| Damage::Repeat(at, times)),
        1 => (at(), 1_usize..400).prop_map(|(at, depth)| Damage::Nest(at, depth)),
        1 => at().prop_map(Damage::Double),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Splice(at, bytes)),
    ]
}

fn odd() -> impl Strategy<Value = Value> {
    let numbers = [json!(0), json!(-1), json!(i64::MAX), json!(i64::MIN), json!(u64::MAX), json!(1e308), json!(0.5)];
    let others = [json!(null), json!(true), json!({}), json!([]), json!([[]]), json!({"a": {"a": 1}})];
    let raw = RAW.map(|(name, _)| json!(name));
    prop_oneof![
        prop::sample::select([numbers.to_vec(), others.to_vec(), raw.to_vec()].concat()),
        odd_text().prop_map(Value::String),
    ]
}

fn odd_text() -> impl Strategy<Value = String> {
    let fixed = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{202e}oat",
        "\u{feff}",
        "\u{fffe}",
        "🥛",
        "e\u{301}",
        "ﬃ",
        "-1",
        "NaN",
        "%00",
        "' OR 1=1--",
    ];
    let long = (64_usize..5_000).prop_map(|length| "x".repeat(length));
    prop_oneof![4 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned), 2 => ".{0,12}", 1 => long]
}

/// The bytes of a body after all damage.
pub(crate) fn damaged(mut body: Value, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        within(&mut body, damage);
    }
    let mut text = body.to_string();
    for (name, raw) in RAW {
        text = text.replace(&format!("\"{name}\""), raw);
    }
    let mut bytes = text.into_bytes();
    for damage in damages {
        in_bytes(&mut bytes, &body, damage);
    }
    bytes
}

fn within(body: &mut Value, damage: &Damage) {
    match damage {
        Damage::Replace(at, value) => *chosen(body, *at) = value.clone(),
        Damage::Remove(at) => {
            if let Value::Object(members) = chosen(body, *at) {
                let key = members.keys().nth(at.index(members.len().max(1))).cloned();
                key.map(|key| members.remove(&key));
            }
        }
        Damage::Add(at, key, value) => match chosen(body, *at) {
            Value::Object(members) => drop(members.insert(key.clone(), value.clone())),
            Value::Array(items) => items.push(value.clone()),
            _ => {}
        },
        Damage::Repeat(at, times) => {
            let place = chosen(body, *at);
            let item = place.as_array().and_then(|items| items.first()).unwrap_or(place).clone();
            *place = Value::Array(vec![item; *times]);
        }
        Damage::Nest(at, depth) => {
            let place = chosen(body, *at);
            *place = (0..*depth).fold(place.take(), |inner, _| Value::Array(vec![inner]));
        }
        Damage::Double(_) | Damage::Cut(_) | Damage::Splice(..) => {}
    }
}

fn in_bytes(bytes: &mut Vec<u8>, body: &Value, damage: &Damage) {
    match damage {
        Damage::Double(at) => {
            let members = body.as_object().cloned().unwrap_or_else(Map::new);
            let member = members.iter().nth(at.index(members.len().max(1)));
            if let Some((key, value)) = member.filter(|_| !bytes.is_empty()) {
                bytes.splice(1..1, format!("{}:{value},", json!(key)).into_bytes());
            }
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Damage::Splice(at, more) => {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, more.iter().copied());
        }
        _ => {}
    }
}

/// One of the values inside a value; the value itself is among them.
fn chosen(value: &mut Value, at: Index) -> &mut Value {
    let nth = at.index(count(value));
    descend(value, &mut { nth }).expect("the index is below the count")
}

/// How many values a value contains, without those below the greatest depth.
fn count(value: &Value) -> usize {
    fn below(value: &Value, depth: usize) -> usize {
        let children: usize = match value {
            _ if depth == 0 => 0,
            Value::Array(items) => items.iter().take(10).map(|item| below(item, depth - 1)).sum(),
            Value::Object(members) => members.values().map(|member| below(member, depth - 1)).sum(),
            _ => 0,
        };
        1 + children
    }
    below(value, 10)
}

fn descend<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    fn below<'v>(value: &'v mut Value, left: &mut usize, depth: usize) -> Option<&'v mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            _ if depth == 0 => None,
            Value::Array(items) => items.iter_mut().take(10).find_map(|item| below(item, left, depth - 1)),
            Value::Object(members) => members.values_mut().find_map(|member| below(member, left, depth - 1)),
            _ => None,
        }
    }
    below(value, left, 10)
}
