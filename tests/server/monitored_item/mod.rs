//! The MonitoredItem service set: values, queues and filters.

mod aggregate;
mod values;
