//! Documents that are generated from a schema: well formed, with arguments of every kind.
//!
//! Every decision is a byte that proptest has drawn. Zero is always the smallest choice, so a failing document shrinks to its relevant
//! parts.

use std::{collections::HashMap, fmt::Write};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition},
};
use serde_json::json;

/// The depth of a document: deeper than documents of real clients, and within the limit.
const DEPTH: usize = 5;

/// Texts for every argument that takes one.
const TEXTS: [&str; 14] = [
    "S-000",
    "soap",
    "EUR",
    "ann",
    "",
    "\0",
    "a\0b",
    "\u{202e}",
    "🧼 & 'soap' | !:*",
    "%",
    "5b226e616d65222c5b2261225d5d",
    "5b226e616d65222c5b22615c7530303030225d5d",
    "2026-02-30",
    "-1",
];
/// Whole numbers for every argument that takes one.
const NUMBERS: [i64; 9] = [1, 0, -1, 100, 101, 2_147_483_647, -2_147_483_648, i64::MAX, i64::MIN];

/// The decisions that generate a document.
pub(crate) struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Choices<'b> {
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// A number below `many`. 0 when no byte is left.
    fn below(&mut self, many: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or_default()) % many.max(1)
    }

    fn one<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.below(choices.len())]
    }

    /// True in one of eight cases.
    fn rarely(&mut self) -> bool {
        self.below(8) == 7
    }
}

/// The types of a schema.
pub(crate) struct Schema {
    types: HashMap<String, TypeKind>,
}

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Mutation,
}

impl Schema {
    pub(crate) fn parse(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the schema can be parsed");
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some((ty.node.name.node.to_string(), ty.node.kind)),
            _ => None,
        });
        Self { types: types.collect() }
    }

    /// A document with one operation.
    pub(crate) fn document(&self, kind: Kind, choices: &mut Choices<'_>) -> String {
        let mut text = String::new();
        let (keyword, root) = match kind {
            Kind::Query => ("query", "Query"),
            Kind::Mutation => ("mutation", "Mutation"),
        };
        let fields = self.fields(root);
        write!(text, "{keyword} {{").expect("a text can be written to");
        for nr in 0..=choices.below(3) {
            let field = choices.one(&fields);
            write!(text, " f{nr}: ").expect("a text can be written to");
            self.field(field, DEPTH, choices, &mut text);
        }
        text + " }"
    }

    fn fields(&self, ty: &str) -> Vec<&FieldDefinition> {
        match self.types.get(ty) {
            Some(TypeKind::Object(object)) => object.fields.iter().map(|field| &field.node).collect(),
            Some(TypeKind::Interface(interface)) => interface.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    fn field(&self, field: &FieldDefinition, depth: usize, choices: &mut Choices<'_>, text: &mut String) {
        *text += &field.name.node;
        self.arguments(&field.arguments.iter().map(|argument| &argument.node).collect::<Vec<_>>(), choices, text);
        let ty = named(&field.ty.node);
        if self.fields(ty).is_empty() {
            return;
        }
        *text += " { __typename";
        // A payload always selects the fields that show whether the mutation has written.
        if ty.ends_with("Payload") {
            *text += " consistencyToken userErrors { code message path }";
        }
        let inner: Vec<_> = self.fields(ty);
        for _ in 0..=choices.below(4) {
            let field = choices.one(&inner);
            let leaf = self.fields(named(&field.ty.node)).is_empty();
            if leaf || depth > 0 {
                write!(text, " a{}: ", text.len()).expect("a text can be written to");
                self.field(field, depth - usize::from(!leaf), choices, text);
            }
        }
        *text += " }";
    }

    fn arguments(&self, arguments: &[&InputValueDefinition], choices: &mut Choices<'_>, text: &mut String) {
        let mut given = Vec::new();
        for argument in arguments {
            if !argument.ty.node.nullable || choices.below(2) == 1 {
                given.push(format!("{}: {}", argument.name.node, self.value(&argument.ty.node, 4, choices)));
            }
        }
        if !given.is_empty() {
            write!(text, "({})", given.join(", ")).expect("a text can be written to");
        }
    }

    fn value(&self, ty: &Type, depth: usize, choices: &mut Choices<'_>) -> String {
        if choices.rarely() {
            return choices
                .one(&["null", "{}", "[]", "1.5", "1e400", "99999999999999999999", "ENUM", "true", "\"\""])
                .to_string();
        }
        match &ty.base {
            BaseType::List(of) => {
                let items: Vec<_> = (0..choices.below(4)).map(|_| self.value(of, depth, choices)).collect();
                format!("[{}]", items.join(", "))
            }
            BaseType::Named(name) => self.named_value(name, depth, choices),
        }
    }

    fn named_value(&self, name: &str, depth: usize, choices: &mut Choices<'_>) -> String {
        match self.types.get(name) {
            Some(TypeKind::InputObject(input)) if depth > 0 => {
                let mut fields = Vec::new();
                for field in input.fields.iter().map(|field| &field.node) {
                    if !field.ty.node.nullable || choices.below(3) == 2 {
                        fields.push(format!("{}: {}", field.name.node, self.value(&field.ty.node, depth - 1, choices)));
                    }
                }
                format!("{{{}}}", fields.join(", "))
            }
            Some(TypeKind::Enum(of)) => {
                let values: Vec<_> = of.values.iter().map(|value| value.node.value.node.to_string()).collect();
                choices.one(&values).clone()
            }
            _ => scalar(name, choices),
        }
    }
}

fn scalar(name: &str, choices: &mut Choices<'_>) -> String {
    let id = |choices: &mut Choices<'_>| {
        json!(crate::shop::id(choices.one::<&str>(&["o", "c", "Soap", "unknown"]))).to_string()
    };
    match name {
        "Boolean" => choices.one(&["true", "false"]).to_string(),
        "Int" | "Long" | "Float" => choices.one(&NUMBERS).to_string(),
        "UUID" => id(choices),
        "ID" if choices.below(3) < 2 => id(choices),
        "DateTime" => choices.one(&["\"2026-01-01T00:00:00Z\"", "\"+262142-12-31T23:59:59Z\"", "\"soon\""]).to_string(),
        "NaiveDate" => {
            choices.one(&["\"2026-01-01\"", "\"+262142-12-31\"", "\"-262143-01-01\"", "\"2026-02-30\""]).to_string()
        }
        _ => json!(choices.one(&TEXTS)).to_string(),
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(of) => named(of),
    }
}
