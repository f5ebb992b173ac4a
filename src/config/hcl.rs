//! HCL: blocks of servers. Nothing in it is evaluated.

use std::ops::Range;

use hcl_edit::{
    Span,
    expr::{Expression, ObjectKey, TraversalOperator, UnaryOperator},
    parser::parse_body,
    structure::{Block, Body, Structure},
    template::{Element, Template},
};

use super::{
    document::Declared,
    entry::{self, Entry},
    json::Broken,
    reader::Reader,
    table::{Field, Table, Take},
    tree::{Member, Node, Number, Segment, Value},
};

/// The block that declares a server.
const SERVER: &str = "mcp_server";

/// A block of others, in which such blocks may stand.
const OUTER: &str = "workflow";

pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    let body = parse_body(text)
        .map_err(|error| (error.location().offset(), error.message().to_owned()))?;
    Ok(node(0, Value::Map(members(&body, true))))
}

fn node(at: usize, value: Value) -> Node {
    Node { at, value }
}

/// Where it begins; what the parser made up stands at the beginning.
fn start(span: Option<Range<usize>>) -> usize {
    span.map_or(0, |span| span.start)
}

fn members(body: &Body, outside: bool) -> Vec<Member> {
    let member = |structure: &Structure| match structure {
        Structure::Attribute(attribute) => Member {
            name: attribute.key.to_string(),
            at: start(attribute.key.span()),
            labels: Vec::new(),
            node: expression(&attribute.value),
        },
        Structure::Block(inner) => block(inner, outside),
    };
    body.iter().map(member).collect()
}

/// A block within a server says the same as an object; its label is the name of one in it.
fn block(block: &Block, outside: bool) -> Member {
    let (name, at) = (block.ident.to_string(), start(block.ident.span()));
    let labels: Vec<_> = block.labels.iter().map(|label| label.as_str().to_owned()).collect();
    let body = Value::Map(members(&block.body, outside && name == OUTER));
    if outside {
        return Member { name, at, labels, node: node(at, body) };
    }
    let begins = block.labels.iter().rev().map(|label| start(label.span()));
    let body = labels.iter().rev().zip(begins).fold(node(at, body), |inner, (label, at)| {
        let member = Member { name: label.clone(), at, labels: Vec::new(), node: inner };
        node(at, Value::Map(vec![member]))
    });
    Member { name, at, labels, node: body }
}

fn expression(given: &Expression) -> Node {
    let value = match given {
        Expression::Null(_) => Value::Null,
        Expression::Bool(flag) => Value::Flag(*flag.value()),
        Expression::Number(number) => {
            let written = number.as_repr().map(|text| text.replace(char::is_whitespace, ""));
            let written = written.unwrap_or_else(|| number.value().to_string());
            Value::Number(Number::written(written))
        }
        Expression::String(text) => Value::Text(text.value().clone()),
        Expression::Array(array) => Value::List(array.iter().map(expression).collect()),
        Expression::Object(object) => {
            let mut members: Vec<_> = object
                .iter()
                .map(|(key, value)| {
                    let (name, at) = object_key(key);
                    Member { name, at, labels: Vec::new(), node: expression(value.expr()) }
                })
                .collect();
            members.sort_by_key(|member| member.at);
            Value::Map(members)
        }
        Expression::StringTemplate(template) => of_template(template),
        Expression::HeredocTemplate(heredoc) => of_template(&heredoc.template),
        Expression::Parenthesis(inner) => return expression(inner.inner()),
        Expression::UnaryOp(operation) if *operation.operator.value() == UnaryOperator::Neg => {
            match expression(&operation.expr).value {
                Value::Number(number) => Value::Number(number.negative()),
                _ => Value::Foreign("an expression (nothing is evaluated)"),
            }
        }
        Expression::Traversal(_) => match variable(given) {
            Some(name) => Value::Template(vec![Segment::Variable(name)]),
            None => Value::Foreign("a reference to anything but env.NAME"),
        },
        Expression::Variable(_) => Value::Foreign("a name without quotes"),
        Expression::FuncCall(_) => Value::Foreign("a call of a function (nothing is evaluated)"),
        Expression::UnaryOp(_)
        | Expression::BinaryOp(_)
        | Expression::Conditional(_)
        | Expression::ForExpr(_) => Value::Foreign("an expression (nothing is evaluated)"),
    };
    node(start(given.span()), value)
}

fn object_key(key: &ObjectKey) -> (String, usize) {
    match key {
        ObjectKey::Ident(name) => (name.to_string(), start(name.span())),
        ObjectKey::Expression(key) => {
            let name = match key {
                Expression::String(text) => text.value().clone(),
                Expression::Number(number) => number.value().to_string(),
                _ => "(an expression)".to_owned(),
            };
            (name, start(key.span()))
        }
    }
}

/// A text with `${env.NAME}` in it, and nothing else.
fn of_template(template: &Template) -> Value {
    let segment = |element: &Element| match element {
        Element::Literal(text) => Some(Segment::Text(text.value().clone())),
        Element::Interpolation(inner) => variable(&inner.expr).map(Segment::Variable),
        Element::Directive(_) => None,
    };
    let segments: Option<Vec<_>> = template.iter().map(segment).collect();
    match segments.as_deref() {
        None => Value::Foreign("a template with more in it than ${env.NAME}"),
        Some([]) => Value::Text(String::new()),
        Some([Segment::Text(text)]) => Value::Text(text.clone()),
        Some(_) => Value::Template(segments.unwrap_or_default()),
    }
}

/// The name in `env.NAME`.
fn variable(expression: &Expression) -> Option<String> {
    let Expression::Traversal(traversal) = expression else { return None };
    let Expression::Variable(root) = &traversal.expr else { return None };
    let [operator] = traversal.operators.as_slice() else { return None };
    let TraversalOperator::GetAttr(name) = operator.value() else { return None };
    (root.as_str() == "env").then(|| name.to_string())
}

/// The keys that a block has beside ours.
static BLOCK: Table<Entry> = Table(&[
    Field {
        name: "transport",
        about: "How the server is reached; http is streamable_http.",
        take: Take::Other(
            |entry, node, reader| entry.read_kind(node, false, reader),
            || serde_json::json!({ "enum": entry::kinds(false).collect::<Vec<_>>() }),
        ),
        get: |_| serde_json::Value::Null,
    },
    Field {
        name: "disabled",
        about: "Leaves the server out. Default: false.",
        take: Take::Flag(|entry, disabled| entry.disabled = disabled),
        get: |_| serde_json::Value::Null,
    },
]);

/// The properties of the schema that only blocks have.
pub(super) fn properties() -> serde_json::Map<String, serde_json::Value> {
    BLOCK.properties()
}

/// Reads the servers of a document.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Declared {
    let mut declared = Declared::default();
    reader.strict = true;
    for member in root.members().unwrap_or_default() {
        let outer = member.name == OUTER && !member.labels.is_empty();
        let inner = if outer { member.node.members().unwrap_or_default() } else { &[] };
        match outer {
            true => inner.iter().for_each(|member| server(member, reader, &mut declared)),
            false => server(member, reader, &mut declared),
        }
    }
    declared
}

fn server(member: &Member, reader: &mut Reader<'_>, declared: &mut Declared) {
    if member.name != SERVER {
        let hint = format!("only blocks of the kind {SERVER} \"name\" {{ … }} are read");
        let what =
            if member.labels.is_empty() { "nothing called so" } else { "no block of this kind" };
        return reader.fault(member.at, format!("{what} is supported here"), Some(hint));
    }
    let [name] = member.labels.as_slice() else {
        let hint = format!("write {SERVER} \"name\" {{ … }}");
        return reader.fault(member.at, "it has to have one name", Some(hint));
    };
    let read = entry::read(name, (&member.node, member.at), keys, reader);
    if declared.has(name) {
        let hint = "give each its own name".to_owned();
        return reader.fault(member.at, format!("two servers are named {name:?}"), Some(hint));
    }
    match read {
        Some((spec, disabled)) => declared.add(spec, disabled, member.at, reader),
        None => declared.spoil(name.clone(), member.at, reader),
    }
}

fn keys(entry: &mut Entry, members: &[Member], reader: &mut Reader<'_>) {
    for member in members {
        let key = (member.name.as_str(), &member.node);
        if !BLOCK.take(entry, key, reader) && !entry.take(member, reader) {
            reader.unknown(member, BLOCK.names().chain(Entry::names()));
        }
    }
    if !members.iter().any(|member| member.name == "transport") {
        let kinds: Vec<_> = entry::kinds(false).collect();
        let hint = format!("one of {}", kinds.join(", "));
        reader.fault(entry.at, "its transport is missing", Some(hint));
    }
}
