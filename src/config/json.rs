//! JSON as people write it: with comments, and commas behind the last.

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{ObjectProp, Value as Ast},
    common::Ranged as _,
    parse_to_ast,
};

use super::tree::{Member, Node, Number, Value};

/// No file of servers is nested deeper, and nothing that walks one runs out of stack.
const DEEPEST: usize = 64;

/// What is wrong, and the byte where.
pub(super) type Broken = (usize, String);

pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    if let Some(at) = too_deep(text) {
        return Err((at, format!("it is nested deeper than {DEEPEST} levels")));
    }
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options);
    let parsed = parsed.map_err(|error| (error.range().start, plain(&error.kind().to_string())))?;
    parsed.value.map(|value| node(&value)).ok_or((0, "it is empty".to_owned()))
}

/// Where it is nested too deep, looked for before anything is built from it.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Some(at);
        }
    }
    None
}

/// The parser's words as they stand within a sentence.
fn plain(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

fn node(ast: &Ast<'_>) -> Node {
    let value = match ast {
        Ast::NullKeyword(_) => Value::Null,
        Ast::BooleanLit(literal) => Value::Flag(literal.value),
        Ast::NumberLit(literal) => Value::Number(Number::written(literal.value)),
        Ast::StringLit(literal) => Value::Text(literal.value.clone().into_owned()),
        Ast::Array(array) => Value::List(array.elements.iter().map(node).collect()),
        Ast::Object(object) => Value::Map(object.properties.iter().map(member).collect()),
    };
    Node { at: ast.range().start, value }
}

fn member(property: &ObjectProp<'_>) -> Member {
    Member {
        name: property.name.as_str().to_owned(),
        at: property.name.range().start,
        labels: Vec::new(),
        node: node(&property.value),
    }
}
