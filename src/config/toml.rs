//! TOML, as Codex has it.

use toml_edit::{Document, Item, TableLike, Value as Toml};

use super::{
    json::Broken,
    tree::{Member, Node, Number, Value},
};

pub(super) fn parse(text: &str) -> Result<Node, Broken> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, error.message().trim().replace('\n', "; "))
    })?;
    Ok(Node { at: 0, value: table(document.as_table()) })
}

/// The keys in the order of the document, which its tables may be scattered over.
fn table(given: &dyn TableLike) -> Value {
    let member = |(name, item): (&str, &Item)| {
        let key = given.get_key_value(name).map(|(key, _)| key);
        let at = key.and_then(|key| key.span()).map(|span| span.start);
        let at = at.or_else(|| item.span().map(|span| span.start)).unwrap_or_default();
        Member { name: name.to_owned(), at, labels: Vec::new(), node: item_node(item, at) }
    };
    let mut members: Vec<_> = given.iter().map(member).collect();
    members.sort_by_key(|member| member.at);
    Value::Map(members)
}

/// `key` is where its key begins, for what has no place of its own.
fn item_node(item: &Item, key: usize) -> Node {
    let at = item.span().map_or(key, |span| span.start);
    let value = match item {
        Item::None => Value::Null,
        Item::Value(value) => return value_node(value, key),
        Item::Table(inner) => table(inner),
        Item::ArrayOfTables(tables) => {
            Value::List(tables.iter().map(|inner| Node { at, value: table(inner) }).collect())
        }
    };
    Node { at, value }
}

fn value_node(value: &Toml, key: usize) -> Node {
    let at = value.span().map_or(key, |span| span.start);
    let value = match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(number) => Value::Number(Number::written(number.value().to_string())),
        Toml::Float(number) => Value::Number(Number::written(number.value().to_string())),
        Toml::Boolean(flag) => Value::Flag(*flag.value()),
        Toml::Datetime(time) => Value::Text(time.value().to_string()),
        Toml::Array(items) => Value::List(items.iter().map(|item| value_node(item, at)).collect()),
        Toml::InlineTable(inner) => table(inner),
    };
    Node { at, value }
}
