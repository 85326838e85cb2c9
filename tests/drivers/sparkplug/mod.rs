//! The driver of Sparkplug: edge nodes with every fault, and other people's edge node over mosquitto.

mod edge;
mod peer;
mod sessions;
