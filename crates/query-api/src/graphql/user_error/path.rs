//! Where in the input of a mutation something is wrong.

use async_graphql::{Name, Value};

/// The path of a JSON pointer (RFC 6901) into the body of a command, in the names of the input that the body was made of.
///
/// Names of the body are names of the input in another case. A list of names and values stands for an object of the body.
pub(super) fn in_input(pointer: &str, input: &Value) -> Vec<String> {
    let mut path = Vec::new();
    let mut place = Some(input);
    for token in pointer.split('/').skip(1).map(unescaped) {
        place = match place {
            Some(Value::List(items)) if !items.is_empty() && items.iter().all(is_attribute) => {
                let at = items.iter().position(|item| member(item, "name") == Some(&Value::String(token.clone())));
                path.extend(at.map(|at| at.to_string()));
                path.push("value".to_owned());
                None
            }
            Some(Value::List(items)) => {
                let item = token.parse::<usize>().ok().and_then(|at| items.get(at));
                path.push(token);
                item
            }
            parent => {
                let name = camel_case(&token);
                let child = parent.and_then(|parent| member(parent, &name));
                path.push(name);
                child
            }
        };
    }
    path
}

/// A token of a pointer as the name that it stands for.
fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// Whether a value is a name with a value.
fn is_attribute(value: &Value) -> bool {
    matches!(value, Value::Object(fields) if fields.len() == 2 && fields.contains_key("name") && fields.contains_key("value"))
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => fields.get(&Name::new(name)),
        _ => None,
    }
}

/// A name of a command, or of the data of a refusal, as GraphQL has it.
pub(super) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::in_input;

    #[test]
    fn a_pointer_into_the_body_becomes_a_path_into_the_input() {
        let input = value!({
            "expectedTotal": {"minorUnits": 1, "currency": "EUR"},
            "variants": [{"sku": "A", "options": []}, {"sku": "B", "options": [{"name": "0", "value": "x"}]}],
            "attributes": [{"name": "origin", "value": "India"}, {"name": "a/b~c", "value": ""}],
            "channel": null,
        });
        for (pointer, path) in [
            ("", &[][..]),
            ("/channel", &["channel"]),
            ("/expected_total/minor_units", &["expectedTotal", "minorUnits"]),
            ("/variants/1/sku", &["variants", "1", "sku"]),
            ("/variants/7", &["variants", "7"]),
            ("/attributes/origin", &["attributes", "0", "value"]),
            ("/attributes/a~1b~0c", &["attributes", "1", "value"]),
            ("/variants/1/options/0", &["variants", "1", "options", "0", "value"]),
            ("/not_given/at_all", &["notGiven", "atAll"]),
        ] {
            assert_eq!(in_input(pointer, &input), path, "{pointer}");
        }
    }
}
