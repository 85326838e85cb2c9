//! Which tag has which archive.

use std::sync::Arc;

use super::{ArchiveId, ArchiveSpec, Fault, Historian};
use crate::model::{NodeName, Plant, Tag, TagId};

/// The historian, and the archives of this start's tags.
pub struct Archives {
    pub historian: Arc<dyn Historian>,
    /// Indexed by `TagId`.
    ids: Box<[Option<ArchiveId>]>,
}

impl Archives {
    /// Finds or makes the archive of every tag that has a history class.
    pub fn open(historian: Arc<dyn Historian>, plant: &Plant) -> Result<Archives, Fault> {
        let kept = |(id, tag): (TagId, &Tag)| tag.history.is_some().then_some(id);
        let tags: Vec<TagId> = plant.tags.iter().filter_map(kept).collect();
        let specs: Vec<ArchiveSpec> = tags.iter().filter_map(|tag| spec(plant, *tag)).collect();
        let found = historian.register(&specs)?;
        let mut ids = vec![None; plant.tags.bound()];
        for (tag, id) in tags.iter().zip(found) {
            ids[tag.0 as usize] = Some(id);
        }
        Ok(Archives { historian, ids: ids.into() })
    }

    pub fn of(&self, tag: TagId) -> Option<ArchiveId> {
        self.ids.get(tag.0 as usize).copied().flatten()
    }

    /// Tags that have an archive.
    pub fn tags(&self) -> impl Iterator<Item = (TagId, ArchiveId)> {
        (0..).zip(&self.ids).filter_map(|(n, id)| Some((TagId(n), (*id)?)))
    }
}

fn spec(plant: &Plant, id: TagId) -> Option<ArchiveSpec> {
    let tag = plant.tag(id);
    let class = plant.history_of(id)?;
    let cell = &plant.cells[usize::from(tag.cell)];
    let identifier = match &cell.node(tag.node).id {
        NodeName::Path => format!("s={}", cell.path(tag.node)),
        NodeName::Numeric(number) => format!("i={number}"),
        NodeName::Text(text) => format!("s={text}"),
    };
    Some(ArchiveSpec {
        namespace: cell.namespace.clone(),
        identifier,
        kind: tag.shape.data_type.wire(),
        is_array: !tag.shape.is_scalar(),
        class: format!("{}/{}", cell.name, class.name),
        keep: class.keep,
        max_size: class.max_size,
    })
}
