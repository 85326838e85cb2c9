//! Attributes of nodes other than live values, written straight into the answer.
//!
//! A wrong attribute for the class is BadAttributeIdInvalid: UaExpert reads all 27 of a node that is clicked.

use opcua::StatusCode;

use super::attribute::{Attribute, access_level};
use super::{Class, Detail, Label, NodeIx, Space, Viewer};
use crate::model::{Plant, Roles};
use crate::stack::codec::{LocalizedTextRef, Writer};
use crate::value::BuiltIn;

/// Properties whose changes SemanticChangeEvents report (Part 8 §5.2, 1.05), by BrowseName.
const SEMANTIC: [&str; 6] = ["EURange", "EngineeringUnits", "EnumStrings", "EnumValues", "TrueState", "FalseState"];

impl Space {
    /// Writes a whole Variant with the attribute, or says why not. `Value` is not served here.
    pub fn write_attribute(
        &self,
        at: NodeIx,
        attribute: Attribute,
        viewer: &Viewer<'_>,
        w: &mut Writer,
    ) -> Result<(), StatusCode> {
        match attribute {
            Attribute::NodeId => {
                w.variant_head(BuiltIn::NodeId);
                self.write_id(at, w);
            }
            Attribute::NodeClass => {
                w.variant_head(BuiltIn::Int32);
                w.i32(i32::from(self.node(at).class as u8));
            }
            Attribute::BrowseName => {
                w.variant_head(BuiltIn::QualifiedName);
                w.qualified_name(self.browse_name(at));
            }
            Attribute::DisplayName => self.write_label(at, self.node(at).display, viewer, w),
            Attribute::Description => self.write_label(at, self.node(at).description, viewer, w),
            Attribute::WriteMask | Attribute::UserWriteMask => {
                w.variant_head(BuiltIn::UInt32);
                w.u32(0);
            }
            Attribute::RolePermissions => {
                viewer.check_read(self, at, attribute)?;
                self.write_permissions(at, viewer.plant, Roles(u64::MAX), w);
            }
            Attribute::UserRolePermissions => self.write_permissions(at, viewer.plant, viewer.roles, w),
            Attribute::AccessRestrictions => {
                w.variant_head(BuiltIn::UInt16);
                w.u16(self.restrictions(self.node(at).access, viewer.plant));
            }
            _ => return self.write_class_attribute(at, attribute, viewer, w),
        }
        Ok(())
    }

    fn write_label(&self, at: NodeIx, label: Label, viewer: &Viewer<'_>, w: &mut Writer) {
        w.variant_head(BuiltIn::LocalizedText);
        w.localized_text(self.label(at, label, viewer.locales));
    }

    pub fn display_name(&self, at: NodeIx, locales: &[String]) -> LocalizedTextRef<'_> {
        self.label(at, self.node(at).display, locales)
    }

    fn label(&self, at: NodeIx, label: Label, locales: &[String]) -> LocalizedTextRef<'_> {
        let plain = |text| LocalizedTextRef { locale: None, text: Some(text) };
        match label {
            Label::None => LocalizedTextRef::default(),
            Label::Browse => plain(self.texts.get(self.node(at).browse)),
            Label::Plain(span) => plain(self.texts.get(span)),
            Label::Local(ix) => {
                let texts = &self.labels[ix as usize].0;
                let (locale, text) = choose(texts, locales);
                LocalizedTextRef { locale: Some(locale).filter(|l| !l.is_empty()), text: Some(text) }
            }
        }
    }

    fn write_class_attribute(
        &self,
        at: NodeIx,
        attribute: Attribute,
        viewer: &Viewer<'_>,
        w: &mut Writer,
    ) -> Result<(), StatusCode> {
        let node = self.node(at);
        let boolean = |w: &mut Writer, v: bool| {
            w.variant_head(BuiltIn::Boolean);
            w.bool(v);
        };
        match (attribute, node.detail) {
            (
                Attribute::IsAbstract,
                Detail::ObjectType { is_abstract }
                | Detail::VariableType { is_abstract, .. }
                | Detail::DataType { is_abstract, .. }
                | Detail::ReferenceType { is_abstract, .. },
            ) => boolean(w, is_abstract),
            (Attribute::Symmetric, Detail::ReferenceType { symmetric, .. }) => boolean(w, symmetric),
            (Attribute::InverseName, Detail::ReferenceType { inverse_name, .. }) if inverse_name.length > 0 => {
                w.variant_head(BuiltIn::LocalizedText);
                w.localized_text(LocalizedTextRef { locale: None, text: Some(self.texts.get(inverse_name)) });
            }
            (Attribute::EventNotifier, Detail::Object { event_notifier }) => {
                w.variant_head(BuiltIn::Byte);
                w.u8(event_notifier);
            }
            (Attribute::Executable, Detail::Method { is_executable }) => boolean(w, is_executable),
            (Attribute::UserExecutable, Detail::Method { is_executable }) => {
                boolean(w, is_executable && viewer.may_call(self, at));
            }
            (Attribute::DataTypeDefinition, Detail::DataType { definition: Some(value), .. }) => {
                w.variant(&self.values[value as usize]);
            }
            (_, Detail::Variable(shape) | Detail::VariableType { shape, .. }) => {
                return self.write_variable_attribute(at, attribute, shape, viewer, w);
            }
            _ => return Err(StatusCode::BadAttributeIdInvalid),
        }
        Ok(())
    }

    fn write_variable_attribute(
        &self,
        at: NodeIx,
        attribute: Attribute,
        shape: u32,
        viewer: &Viewer<'_>,
        w: &mut Writer,
    ) -> Result<(), StatusCode> {
        let shape = &self.variables[shape as usize];
        let is_variable = self.node(at).class == Class::Variable;
        match attribute {
            Attribute::DataType => {
                w.variant_head(BuiltIn::NodeId);
                self.write_id(shape.data_type, w);
            }
            Attribute::ValueRank => {
                w.variant_head(BuiltIn::Int32);
                w.i32(shape.value_rank);
            }
            Attribute::ArrayDimensions if shape.value_rank >= 0 => {
                let (first, count) = shape.dimensions;
                let all = shape.value_rank.unsigned_abs().max(count);
                w.variant_array_head(BuiltIn::UInt32);
                w.u32(all);
                // A dimension that is not stated is 0: any length (Part 3 §5.6.2, 1.05).
                for n in 0..all {
                    w.u32(if n < count { self.dimensions[(first + n) as usize] } else { 0 });
                }
            }
            Attribute::AccessLevel if is_variable => {
                w.variant_head(BuiltIn::Byte);
                w.u8(self.access_level(at, viewer.plant));
            }
            Attribute::UserAccessLevel if is_variable => {
                w.variant_head(BuiltIn::Byte);
                w.u8(self.user_access_level(at, viewer));
            }
            Attribute::AccessLevelEx if is_variable => {
                w.variant_head(BuiltIn::UInt32);
                w.u32(u32::from(self.access_level(at, viewer.plant)));
            }
            Attribute::MinimumSamplingInterval if is_variable => {
                let millis =
                    self.minimum_sampling_interval(at, viewer.plant).ok_or(StatusCode::BadAttributeIdInvalid)?;
                w.variant_head(BuiltIn::Double);
                w.f64(millis);
            }
            Attribute::Historizing if is_variable => {
                w.variant_head(BuiltIn::Boolean);
                w.bool(shape.source.tag().is_some_and(|tag| self.has_history(tag)));
            }
            _ => return Err(StatusCode::BadAttributeIdInvalid),
        }
        Ok(())
    }

    /// AccessLevel: the accesses that some role has.
    pub fn access_level(&self, at: NodeIx, plant: &Plant) -> u8 {
        match self.variable(at).map(|shape| shape.source) {
            None | Some(super::Source::None) => 0,
            Some(super::Source::Tag(id) | super::Source::Member(id)) => {
                let tag = plant.tag(id);
                let history = access_level::HISTORY_READ | access_level::HISTORY_WRITE;
                access_level::READ
                    | if tag.is_writable() { access_level::WRITE } else { 0 }
                    | if self.has_history(id) { history } else { 0 }
            }
            Some(super::Source::Constant(_)) => {
                access_level::READ | if self.is_semantic(at) { access_level::SEMANTIC_CHANGE } else { 0 }
            }
            Some(super::Source::History(super::HistoricalProperty::Annotations)) => {
                access_level::HISTORY_READ | access_level::HISTORY_WRITE
            }
            Some(super::Source::History(_) | super::Source::Default { .. }) => access_level::READ,
            Some(super::Source::Live(live)) => {
                access_level::READ | if live.is_writable() { access_level::WRITE } else { 0 }
            }
        }
    }

    /// Whether a Property of a cell says what the value of its owner means: with another value of it, clients have to
    /// treat the owner's differently (Part 3 §5.6.2, 1.05).
    fn is_semantic(&self, at: NodeIx) -> bool {
        let node = self.node(at);
        node.namespace != 0 && node.browse_namespace == 0 && SEMANTIC.contains(&self.texts.get(node.browse))
    }

    /// UserAccessLevel: the accesses of this session.
    pub fn user_access_level(&self, at: NodeIx, viewer: &Viewer<'_>) -> u8 {
        let mut level = self.access_level(at, viewer.plant);
        if !viewer.may_read(self, at) {
            level &= !(access_level::READ | access_level::HISTORY_READ);
        }
        if !viewer.may_write(self, at) {
            level &= !access_level::WRITE;
        }
        if !viewer.may_edit_history(self, at) {
            level &= !access_level::HISTORY_WRITE;
        }
        level
    }

    /// The poll period of a polled tag; 0 where each change arrives at once; none where nothing changes.
    fn minimum_sampling_interval(&self, at: NodeIx, plant: &Plant) -> Option<f64> {
        match self.variable(at)?.source {
            super::Source::Tag(tag) | super::Source::Member(tag) => {
                Some(plant.tag(tag).poll_period().as_secs_f64() * 1000.0)
            }
            super::Source::Live(_) => Some(super::LIVE_INTERVAL.as_secs_f64() * 1000.0),
            super::Source::None
            | super::Source::Constant(_)
            | super::Source::History(_)
            | super::Source::Default { .. } => None,
        }
    }
}

/// The first of the session's locales that matches by full tag, then by language, then the first text.
fn choose<'t>(texts: &'t [(String, String)], locales: &[String]) -> (&'t str, &'t str) {
    let language = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let full = locales.iter().find_map(|wanted| texts.iter().find(|(locale, _)| locale.eq_ignore_ascii_case(wanted)));
    let near =
        || locales.iter().find_map(|wanted| texts.iter().find(|(locale, _)| language(locale) == language(wanted)));
    full.or_else(near).or(texts.first()).map_or(("", ""), |(locale, text)| (locale, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_chosen_by_full_tag_then_language_then_the_first() {
        let texts: Vec<(String, String)> =
            [("en", "Pump"), ("de", "Pumpe"), ("de-AT", "Pumpm")].map(|(l, t)| (l.into(), t.into())).into();
        for (wanted, text) in [
            (vec!["de-AT"], "Pumpm"),
            (vec!["de-CH"], "Pumpe"),
            (vec!["fr", "de"], "Pumpe"),
            (vec!["fr"], "Pump"),
            (vec![], "Pump"),
            (vec!["de-CH", "en"], "Pump"),
        ] {
            let locales: Vec<String> = wanted.iter().map(|l| (*l).to_owned()).collect();
            assert_eq!(choose(&texts, &locales).1, text, "{wanted:?}");
        }
    }
}
