//! The driver of Sparkplug: edge nodes with every fault, and other people's edge node over mosquitto.

mod edge;
mod mirror;
mod peer;
mod sessions;
