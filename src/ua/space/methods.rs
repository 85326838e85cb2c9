//! Methods: those of namespace 0 that can be called, and the method of an object that a call means.
//!
//! A call may name the declaration at the object's type; it means the object's own method of that name.

use super::{Class, Detail, NodeIx, Space, kinds};

/// Methods of namespace 0 that can be called; `services::method` has a row for each.
pub(crate) mod callable {
    pub(crate) const GET_MONITORED_ITEMS: u32 = opcua::MethodId::Server_GetMonitoredItems as u32;
    pub(crate) const RESEND_DATA: u32 = opcua::MethodId::Server_ResendData as u32;
    pub(crate) const REQUEST_SERVER_STATE_CHANGE: u32 = opcua::MethodId::Server_RequestServerStateChange as u32;
    pub(crate) const CONDITION_REFRESH: u32 = opcua::MethodId::ConditionType_ConditionRefresh as u32;
    pub(crate) const CONDITION_REFRESH_2: u32 = opcua::MethodId::ConditionType_ConditionRefresh2 as u32;
    pub(crate) const ALL: [u32; 5] =
        [GET_MONITORED_ITEMS, RESEND_DATA, REQUEST_SERVER_STATE_CHANGE, CONDITION_REFRESH, CONDITION_REFRESH_2];
}

impl Space {
    /// Whether a node is the one of namespace 0 with this number.
    pub fn is_node(&self, at: NodeIx, number: u32) -> bool {
        self.standard_node(number) == Some(at)
    }

    pub fn is_executable(&self, at: NodeIx) -> bool {
        matches!(self.node(at).detail, Detail::Method { is_executable: true })
    }

    /// Whether the permission to call means something here: at a method that can be called, and at its object.
    pub fn has_calls(&self, at: NodeIx) -> bool {
        match self.node(at).class {
            Class::Method => self.is_executable(at),
            Class::Object | Class::ObjectType => self.methods(at).any(|method| self.is_executable(method)),
            _ => false,
        }
    }

    /// The method that a call on `object` means (Part 4 §5.12.2.2, 1.05): a component of the Object, or of its type or a
    /// supertype, where the Object has a method of that name; of an ObjectType a component of it or of a supertype.
    pub fn method_of(&self, object: NodeIx, method: NodeIx) -> Option<NodeIx> {
        if self.methods(object).any(|component| component == method) {
            return Some(method);
        }
        let (is_object, mut kind) = match self.node(object).class {
            Class::Object => (true, Some(self.node(object).type_definition)),
            Class::ObjectType => (false, self.supertype_of(object)),
            _ => return None,
        };
        while let Some(at) = kind {
            if self.methods(at).any(|component| component == method) {
                let name = self.browse_name(method);
                let own = || self.methods(object).find(|own| self.browse_name(*own) == name);
                return if is_object { own() } else { Some(method) };
            }
            kind = self.supertype_of(at);
        }
        None
    }

    /// The Method components of a node. Nodes that are made when they are asked for have none.
    fn methods(&self, at: NodeIx) -> impl Iterator<Item = NodeIx> + '_ {
        let is_stored = (at.0 as usize) < self.nodes.len();
        let references = if is_stored { self.stored_references(at) } else { &[] };
        let found = references.iter().filter(|reference| {
            reference.forward
                && self.node(reference.target).class == Class::Method
                && self.is_standard(NodeIx(reference.kind), kinds::HAS_COMPONENT)
        });
        found.map(|reference| reference.target)
    }
}
