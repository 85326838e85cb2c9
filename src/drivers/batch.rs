//! The block planner of register protocols: points that lie close together are read by one request.
//!
//! A point is never split over two blocks. The plan depends only on the points, so the same cell always sends
//! the same requests.

/// Where a point lies: `count` units from `start` in one address space of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The driver's own number for device and table; spaces are never mixed in a block.
    pub space: u32,
    pub start: u32,
    pub count: u32,
    /// The driver's own number of the span.
    pub id: u32,
}

impl Span {
    pub(crate) fn end(&self) -> u32 {
        self.start + self.count
    }
}

/// One request: all units from `start` on, and the spans that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub space: u32,
    pub start: u32,
    pub count: u32,
    pub spans: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest request.
    pub max: u32,
    /// Largest gap of unused units that is read along.
    pub gap: u32,
}

/// Groups the spans into blocks. A span longer than the limit gets a block of its own.
pub(crate) fn plan(mut spans: Vec<Span>, limits: impl Fn(u32) -> Limits) -> Vec<Block> {
    spans.sort_unstable();
    let mut blocks: Vec<Block> = Vec::new();
    for span in spans {
        let limit = limits(span.space);
        match blocks.last_mut() {
            Some(block) if joins(block, &span, limit) => {
                block.count = block.count.max(span.end() - block.start);
                block.spans.push(span);
            }
            _ => {
                let (space, start, count) = (span.space, span.start, span.count);
                blocks.push(Block { space, start, count, spans: vec![span] });
            }
        }
    }
    blocks
}

fn joins(block: &Block, span: &Span, limit: Limits) -> bool {
    let end = block.start + block.count;
    let hole = span.start.saturating_sub(end);
    block.space == span.space && hole <= limit.gap && end.max(span.end()) - block.start <= limit.max
}

/// Two blocks with half of the spans each and no hole at their ends; `None` when there is only one place left.
pub(crate) fn halves(block: &Block) -> Option<(Block, Block)> {
    let first = block.spans.first()?;
    let middle = block.spans.len() / 2;
    // Spans of the same place stay together: cutting between them would make the same request twice.
    let same = |span: &Span| (span.start, span.count) == (first.start, first.count);
    if block.spans.iter().all(same) {
        return None;
    }
    Some((tight(&block.spans[..middle])?, tight(&block.spans[middle..])?))
}

fn tight(spans: &[Span]) -> Option<Block> {
    let first = spans.first()?;
    let end = spans.iter().map(Span::end).max()?;
    let (space, start) = (first.space, first.start);
    Some(Block { space, start, count: end - first.start, spans: spans.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0..3_u32, 0..2_000_u32, 1..20_u32), 0..200).prop_map(|all| {
            let span = |(id, (space, start, count))| Span { space, start, count, id };
            (0..).zip(all).map(span).collect()
        })
    }

    fn check(blocks: &[Block], max: u32) -> Result<Vec<u32>, TestCaseError> {
        for block in blocks {
            prop_assert!(block.count <= max);
            for span in &block.spans {
                prop_assert_eq!(span.space, block.space);
                prop_assert!(block.start <= span.start && span.end() <= block.start + block.count);
            }
            prop_assert!(block.spans.iter().any(|span| span.start == block.start));
            prop_assert!(block.spans.iter().any(|span| span.end() == block.start + block.count));
        }
        let mut ids: Vec<u32> = blocks.iter().flat_map(|block| block.spans.iter().map(|span| span.id)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    proptest! {
        #[test]
        fn each_point_is_whole_in_exactly_one_block_within_the_limits(
            spans in spans(), max in 20..200_u32, gap in 0..40_u32
        ) {
            let all: Vec<u32> = (0..).take(spans.len()).collect();
            let blocks = plan(spans, |_| Limits { max, gap });
            prop_assert_eq!(check(&blocks, max)?, all);
            for pair in blocks.windows(2).filter(|pair| pair[0].space == pair[1].space) {
                let hole = pair[1].start.saturating_sub(pair[0].start + pair[0].count);
                let together = pair[1].spans[0].end().max(pair[0].start + pair[0].count) - pair[0].start;
                prop_assert!(hole > gap || together > max, "blocks that could be one");
            }
        }

        #[test]
        fn halving_ends_at_single_places_and_loses_no_point(spans in spans()) {
            let all: Vec<u32> = (0..).take(spans.len()).collect();
            let mut blocks = plan(spans, |_| Limits { max: 500, gap: 40 });
            while let Some((at, (low, high))) =
                blocks.iter().enumerate().find_map(|(at, block)| Some((at, halves(block)?)))
            {
                blocks.splice(at..=at, [low, high]);
            }
            prop_assert_eq!(check(&blocks, 500)?, all);
            for block in &blocks {
                prop_assert!(block.spans.iter().all(|span| (span.start, span.count) == (block.start, block.count)));
            }
        }
    }
}
