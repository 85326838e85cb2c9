//! Makes an address space ready for tags that keep history.

use super::draft::Draft;
use super::historical::PARTS;
use super::{Class, Detail, Id, Label, Node, Source};

/// Makes the parts ready; the folder of each configuration has these AggregateFunction objects.
pub(crate) fn prepare_history(draft: &mut Draft, aggregates: &[u32]) {
    for made in &PARTS {
        let type_definition = draft.standard(made.type_definition);
        let (class, detail) = match made.data_type {
            None => (Class::Object, Detail::Object { event_notifier: 0 }),
            Some(data_type) => {
                let data_type = draft.standard(data_type);
                (Class::Variable, Detail::Variable(draft.shape(data_type, -1, &[], Source::History(made.part))))
            }
        };
        let browse = draft.text(made.name());
        let node = Node {
            class,
            namespace: 0,
            browse_namespace: 0,
            browse,
            id: Id::Numeric(0),
            display: Label::Browse,
            description: Label::None,
            access: None,
            type_definition,
            detail,
        };
        draft.historical_mut().nodes.push(node);
    }
    let aggregates = aggregates.iter().map(|number| draft.standard(*number)).collect();
    draft.historical_mut().aggregates = aggregates;
}
