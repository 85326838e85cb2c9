//! Addresses of metrics: `GROUP/NODE:METRIC` and `GROUP/NODE/DEVICE:METRIC`.

use crate::drivers::reading::PointError;

/// An edge node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId {
    pub group: String,
    pub node: String,
}

/// Content of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Metric(String),
    /// Whether the node or device is there.
    Online,
    /// The time of its last birth.
    Birth,
}

/// Place of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub node: NodeId,
    pub device: Option<String>,
    pub shown: Shown,
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Address, PointError> {
        let all = 0..text.len();
        let error = |at, message: String, help: &str| Err(PointError::new(at, message, help));
        if let Some(rest) = text.strip_prefix("spBv1.0/") {
            let parts: Vec<&str> = rest.split('/').collect();
            let ids = match parts[..] {
                [group, _, node, device, ..] => format!("{group}/{node}/{device}"),
                [group, _, node] => format!("{group}/{node}"),
                _ => "GROUP/NODE".to_owned(),
            };
            return error(all, format!("`{text}` is the topic"), &format!("the address is {ids}:METRIC"));
        }
        let Some((ids, metric)) = text.split_once(':') else {
            let parts: Vec<&str> = text.split('/').collect();
            let help = match parts[..] {
                [group, node, first, ..] if parts.len() > 3 => {
                    let rest = parts[3..].join("/");
                    format!("write {group}/{node}/{first}:{rest} (device {first}) or {group}/{node}:{first}/{rest}")
                }
                [group, node, metric] => format!("write {group}/{node}:{metric}"),
                _ => "write GROUP/NODE:METRIC or GROUP/NODE/DEVICE:METRIC".to_owned(),
            };
            return error(all, format!("where does the metric begin in `{text}`?"), &help);
        };
        let parts: Vec<&str> = ids.split('/').collect();
        let (group, node, device) = match parts[..] {
            [group, node] => (group, node, None),
            [group, node, device] => (group, node, Some(device)),
            _ => {
                let message = format!("`{ids}` is no group, edge node and device");
                return error(0..ids.len(), message, "write GROUP/NODE or GROUP/NODE/DEVICE before the `:`");
            }
        };
        let mut start = 0;
        for id in &parts {
            let at = start..start + id.len();
            if id.is_empty() {
                return error(at, "an id is empty".to_owned(), "write GROUP/NODE:METRIC");
            }
            if let Some(wrong) = id.find(['+', '#']) {
                let place = at.start + wrong..at.start + wrong + 1;
                return error(place, "an id holds no `+` and no `#`".to_owned(), "write the id of one edge node");
            }
            start += id.len() + 1;
        }
        let at = ids.len() + 1..text.len();
        let shown = match metric {
            "" => return error(at, "the metric is missing".to_owned(), "write its name as in the birth"),
            "@online" => Shown::Online,
            "@birth" => Shown::Birth,
            name if name.starts_with('@') => {
                return error(at, format!("`{name}` is not known"), "write @online or @birth");
            }
            name => Shown::Metric(name.to_owned()),
        };
        let node = NodeId { group: group.to_owned(), node: node.to_owned() };
        Ok(Address { node, device: device.map(str::to_owned), shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_group_node_device_and_metric() {
        let address = |device: Option<&str>, shown| {
            let node = NodeId { group: "Plant1".into(), node: "Line3".into() };
            Ok(Address { node, device: device.map(str::to_owned), shown })
        };
        let metric = |name: &str| Shown::Metric(name.to_owned());
        assert_eq!(Address::parse("Plant1/Line3:Temperature"), address(None, metric("Temperature")));
        assert_eq!(Address::parse("Plant1/Line3:A:b"), address(None, metric("A:b")));
        assert_eq!(
            Address::parse("Plant1/Line3/Filler:Heads/3/Weight"),
            address(Some("Filler"), metric("Heads/3/Weight"))
        );
        assert_eq!(Address::parse("Plant1/Line3/Filler:@online"), address(Some("Filler"), Shown::Online));
        assert_eq!(Address::parse("Plant1/Line3:@birth"), address(None, Shown::Birth));
        for (text, help) in [
            ("Plant1/Line3/Filler/Temp", "write Plant1/Line3/Filler:Temp (device Filler) or Plant1/Line3:Filler/Temp"),
            ("Plant1/Line3/Temp", "write Plant1/Line3:Temp"),
            ("Temp", "write GROUP/NODE:METRIC or GROUP/NODE/DEVICE:METRIC"),
            ("spBv1.0/Plant1/DDATA/Line3/Filler", "the address is Plant1/Line3/Filler:METRIC"),
            ("spBv1.0/Plant1/NDATA/Line3", "the address is Plant1/Line3:METRIC"),
            ("Plant1/Line3/a/b:x", "write GROUP/NODE or GROUP/NODE/DEVICE before the `:`"),
            ("Plant1/+:x", "write the id of one edge node"),
            ("Plant1//F:x", "write GROUP/NODE:METRIC"),
            ("Plant1/Line3:", "write its name as in the birth"),
            ("Plant1/Line3:@x", "write @online or @birth"),
        ] {
            assert_eq!(Address::parse(text).expect_err(text).help, help, "{text}");
        }
    }
}
