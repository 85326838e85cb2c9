//! The MonitoredItem service set: values, limits and filters.

mod aggregate;
mod defects;
