//! The table of methods is held against the nodes that it names.

use super::*;
use crate::model::Plant;
use crate::ua::space::{Source, compose};

/// The built-in type that a DataType of namespace 0 is sent as: the first of its supertypes that is one.
fn built_in(space: &Space, data_type: NodeIx) -> Option<BuiltIn> {
    let mut next = Some(data_type);
    while let Some(at) = next {
        let number = (1..=25).find(|number| space.is_node(at, u32::from(*number)));
        if let Some(kind) = number.and_then(BuiltIn::from_byte) {
            return Some(kind);
        }
        if space.is_node(at, opcua::DataTypeId::Enumeration as u32) {
            return Some(BuiltIn::Int32);
        }
        next = space.supertype_of(at);
    }
    None
}

/// DataTypes and ranks of an array of Argument (Part 3 §8.6, 1.05).
fn declared(space: &Space, value: &Value) -> Vec<BuiltIn> {
    let Value::Wire(bytes) = value else { panic!("{value:?}") };
    let mut reader = Reader::new(bytes);
    assert_eq!(reader.u8(), Ok(BuiltIn::ExtensionObject as u8 | 0x80));
    let count = reader.count(1).expect("a count");
    let arguments = (0..count).map(|_| {
        let body = reader.extension_object().expect("an Argument").body.expect("a body");
        let mut reader = Reader::new(body);
        reader.string().expect("a name");
        let data_type = space.find(reader.node_id().expect("a DataType")).expect("a node");
        assert_eq!(reader.i32(), Ok(-1), "a scalar");
        built_in(space, data_type).expect("a type that can be sent")
    });
    arguments.collect()
}

#[test]
fn each_row_is_as_its_node_declares_it() {
    let space = compose(&Plant::default(), "urn:test", &[], &Default::default()).finish();
    // The InputArguments of each.
    let inputs = [11_493, 12_874, 12_887, 3_876, 12_913];
    for ((row, number), input) in METHODS.iter().zip(callable::ALL).zip(inputs) {
        assert_eq!(row.id, number, "one row for each, in their order");
        let method = space.standard_node(row.id).expect("a node");
        assert!(space.is_executable(method), "i={number}");
        for object in row.objects {
            let object = space.standard_node(*object).expect("an object");
            assert_eq!(space.method_of(object, method), Some(method), "i={number}");
        }
        let input = space.standard_node(input).and_then(|at| space.variable(at)).expect("InputArguments");
        let Source::Constant(value) = input.source else { panic!("i={number}: {:?}", input.source) };
        let taken = row.arguments.iter().map(|argument| match argument {
            Argument::UInt32 => BuiltIn::UInt32,
            Argument::Boolean => BuiltIn::Boolean,
            Argument::DateTime => BuiltIn::DateTime,
            Argument::LocalizedText => BuiltIn::LocalizedText,
            Argument::ByteString => BuiltIn::ByteString,
            Argument::Duration => BuiltIn::Double,
            Argument::Enumeration { .. } => BuiltIn::Int32,
        });
        assert_eq!(declared(&space, space.constant(value)), taken.collect::<Vec<_>>(), "i={number}");
    }
}
